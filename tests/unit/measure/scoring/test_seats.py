import torch
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.seats import span_ends, spans

LENGTHS = st.lists(st.integers(1, 400), max_size=20)


@given(LENGTHS, st.integers(1, 100))
def test_spans_cover_all_rows_and_pad_less_than_further_spans_would_cost(lengths, call_tokens):
    found = list(span_ends(lengths, call_tokens))
    assert [row for start, stop, _ in found for row in range(start, stop)] == list(range(len(lengths)))
    for start, stop, longest in found:
        own = lengths[start:stop]
        assert longest == max(own)
        assert (stop - start) * longest - sum(own) <= (stop - start - 1) * (call_tokens - 1)


def test_rows_of_different_lengths_are_masked_or_apart():
    (whole,) = spans([5, 3, 200], torch.device("meta"), torch.float32)  # stands for a GPU
    assert (whole.start, whole.stop, whole.length, whole.mask.shape) == (0, 3, 200, (3, 1, 1, 200))
    alike, alone = spans([5, 3, 200], torch.device("cpu"), torch.float32)
    assert (alike.start, alike.stop, alike.length) == (0, 2, 5)
    assert alike.mask[:, 0, 0].isinf().tolist() == [[False] * 5, [False] * 3 + [True] * 2]
    assert (alone.start, alone.stop, alone.length, alone.mask) == (2, 3, 200, None)


def test_rows_with_drafts_see_what_stands_before_each_of_their_tokens():
    plain, drafted = spans([5, 7, 6], torch.device("cpu"), torch.float32, [1, 3, 3])
    assert (plain.start, plain.stop, plain.length, plain.mask, plain.new, plain.first) == (0, 1, 5, None, 1, 0)
    assert (drafted.start, drafted.stop, drafted.length, drafted.new, drafted.first) == (1, 3, 7, 3, 1)
    assert drafted.mask.shape == (2, 1, 3, 7)
    assert (drafted.mask[:, 0] == 0).sum(dim=-1).tolist() == [[5, 6, 7], [4, 5, 6]]


def test_seats_are_limited_by_tokens_of_cache():
    assert [Budget(8).seats(tokens) for tokens in (1, 256, 300, 700, 1024, 9999)] == [32, 32, 27, 11, 8, 8]
    assert [Budget(8, 1000).seats(tokens) for tokens in (1, 100, 125, 126, 500, 501, 5000)] == [32, 10, 8, 7, 2, 1, 1]
    assert [Budget(8, 1000, 3).seats(tokens) for tokens in (1, 500)] == [3, 2]
    assert [Budget(8, 1000).seats_in_memory(tokens) for tokens in (10, 1001)] == [100, 1]


def test_after_memory_ran_out_half_the_rows_are_tried():
    budget = Budget(8)
    budget.shrink(27)
    assert (budget.sequences, budget.seats(1)) == (8, 13)
    budget.shrink(5)
    assert (budget.sequences, budget.seats(1)) == (2, 2)
    budget.shrink(1)
    assert (budget.sequences, budget.seats(1)) == (1, 1)


def states(rows, tokens):
    return torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 4)


def test_a_row_enters_grows_and_moves():
    torch.manual_seed(0)
    cache = SeatCache(1, 3, 6)
    first, second = states(2, 4), states(1, 5)
    cache.aim(0, 2, 0)
    assert torch.equal(cache.update(*first, 0)[0], first[0])
    cache.aim(2, 3, 0)
    cache.update(*second, 0)
    new = states(3, 1)
    cache.aim_at(torch.tensor([4, 3, 5]), 6)
    keys, values = cache.update(*new, 0)
    assert keys.shape == (3, 2, 6, 4)
    for row, column in enumerate([4, 3, 5]):
        assert torch.equal(values[row, :, column], new[1][row, :, 0])
    assert torch.equal(keys[2, :, :5], second[0][0])
    size = cache.size_bytes
    cache.resize(4, 12)
    cache.move(2, 0)
    assert (cache.seats, cache.capacity, cache.size_bytes) == (4, 12, size * 4 * 12 // (3 * 6))
    cache.aim(0, 1, 6)
    keys, _ = cache.update(*states(1, 1), 0)
    assert torch.equal(keys[0, :, :5], second[0][0])
    assert torch.equal(cache.beginning(5).keys[0], second[0])


def test_places_that_no_token_has_written_are_numbers():
    cache = SeatCache(1, 1, 8)
    cache.aim(0, 1, 0)
    cache.update(*states(1, 2), 0)
    cache.resize(2, 500)
    assert all(buffer.isfinite().all() for buffer in cache.layers[0].buffers())
