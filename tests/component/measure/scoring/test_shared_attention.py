"""The suite's attention against the plain forward pass, for tiny random models of many families."""

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_families import FAMILIES, VOCABULARY, tiny
from torch.nn.functional import scaled_dot_product_attention

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.continuous import ContinuousDecoder
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.greedy_answers import StopRule, generate
from glu_lib.measure.scoring.pieces import forward_prefix, new_cache
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.seats import spans
from glu_lib.measure.scoring.shared_attention import NAME, Beginning, View, attend
from glu_lib.measure.scoring.softmax_part import Part
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.study.settings import Attention


@pytest.fixture(scope="module", params=FAMILIES)
def forward(request):
    found = SharedForward(tiny(request.param))
    assert found.matches_plain_forward(VOCABULARY, 512)
    try_out(found, VOCABULARY, 512)
    return found


def plain_answer(model, prompt, count):
    """Greedy decoding without a cache."""
    made = []
    with torch.no_grad():
        for _ in range(count):
            logits = model(torch.tensor([[*prompt, *made]])).logits[0, -1]
            made.append(int(logits.argmax()))
            if made[-1] == 2:
                break
    return made


def test_every_family_gets_the_suites_attention(forward):
    assert forward.attention is Attention.SHARED
    assert forward.model.config._attn_implementation == "sdpa"


@settings(max_examples=6, deadline=None)
@given(
    data=st.data(),
    shared=st.integers(0, 40),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=7),
    seats=st.integers(1, 4),
    cache_tokens=st.sampled_from([None, 100, 1]),
)
def test_greedy_answers_are_those_of_plain_decoding(forward, data, shared, sizes, seats, cache_tokens):
    token = st.integers(3, VOCABULARY - 1)
    beginning = data.draw(st.lists(token, min_size=shared, max_size=shared))
    prompts = [
        (*beginning, *data.draw(st.lists(token, min_size=size, max_size=size)), 3 + k) for k, size in enumerate(sizes)
    ]
    count = data.draw(st.integers(1, 12))
    rule = StopRule([], frozenset({2}), lambda _tokens: "")
    with forward.own_attention():
        found = {}
        for made in generate(forward, prompts, Budget(seats, cache_tokens), max_new_tokens=count, rule=rule):
            assert not made.keys() & found.keys()
            found |= made
    assert found == {prompt: plain_answer(forward.model, prompt, count) for prompt in prompts}


class Journal:
    """Answers of an interrupted run, which ends after some rounds."""

    def __init__(self, rounds):
        self.rounds, self.tokens, self.ended = rounds, {}, {}

    def finished(self, prompt):
        return self.ended.get(prompt)

    def begun(self, prompt):
        return list(self.tokens.get(prompt, []))

    def grow(self, made):
        self.tokens |= {prompt: list(tokens) for prompt, tokens in made.items()}
        self.rounds -= 1
        if not self.rounds:
            raise KeyboardInterrupt


@settings(max_examples=8, deadline=None)
@given(rounds=st.integers(1, 20), seed=st.integers(0, 99), shared=st.sampled_from([0, 20]))
def test_an_interrupted_run_goes_on_with_the_same_answers(forward, rounds, seed, shared):
    drawn = torch.Generator().manual_seed(seed)
    beginning = torch.randint(3, VOCABULARY, (shared,), generator=drawn).tolist()
    prompts = [
        (*beginning, *torch.randint(3, VOCABULARY, (size,), generator=drawn).tolist()) for size in (9, 4, 25, 12, 7)
    ]
    rule, journal, found = StopRule([], frozenset({2}), lambda _tokens: ""), Journal(rounds), {}
    with forward.own_attention():
        for _run in range(30):
            try:
                for made in generate(forward, prompts, Budget(2), max_new_tokens=6, rule=rule, progress=journal):
                    found |= made
                    journal.ended |= made
                break
            except KeyboardInterrupt:
                journal.rounds = rounds
    assert found == {prompt: plain_answer(forward.model, prompt, 6) for prompt in prompts}


def test_the_model_has_its_own_attention_again_afterwards(forward):
    with forward.own_attention():
        assert forward.model.config._attn_implementation == NAME
    assert forward.model.config._attn_implementation == "sdpa"


def test_prompts_in_pieces_get_the_keys_values_and_answers_of_one_pass(forward, monkeypatch):
    tokens = torch.randint(3, VOCABULARY, (3, 50), generator=torch.Generator().manual_seed(0))
    tokens[:, :21] = tokens[0, :21]
    prompts = [tuple(row[: 50 - 9 * k].tolist()) for k, row in enumerate(tokens)]
    cache = transformers.DynamicCache()
    forward.states(tokens[:1], past_key_values=cache, use_cache=True)
    monkeypatch.setattr("glu_lib.measure.scoring.pieces.MOST_TOKENS", 14)
    rule, found = StopRule([], frozenset({2}), lambda _tokens: ""), {}
    with forward.own_attention():
        pieces = forward_prefix(forward, prompts[0])
        for made in generate(forward, prompts, Budget(1), max_new_tokens=5, rule=rule):
            found |= made
    for layer, keys, values in zip(cache.layers, pieces.keys, pieces.values, strict=True):
        assert torch.allclose(layer.keys, keys, atol=1e-5)
        assert torch.allclose(layer.values, values, atol=1e-5)
    assert found == {prompt: plain_answer(forward.model, prompt, 5) for prompt in prompts}


def test_a_long_answer_does_not_hold_the_other_seats(monkeypatch):
    """Two seats, two answers of 30 tokens among ten of two: batches of two would take 60 steps and more."""
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)
    prompts = [(3 + k, 4, 5, *range(6, 18 - k)) for k in range(12)]  # the longest comes first
    long = {prompts[0], prompts[6]}
    rows, turn, own = [], {}, forward.states

    def counted(tokens, **arguments):
        rows.append(tuple(tokens.shape))
        return own(tokens, **arguments)

    monkeypatch.setattr(forward, "states", counted)
    decoder = ContinuousDecoder(
        forward,
        None,
        Budget(2, most_seats=2),
        max_new_tokens=30,
        has_stopped=lambda made: len(made) == 2 and not any(made is tokens for tokens in turn.values()),
        observe=lambda made: turn.update({prompt: tokens for prompt, tokens in made.items() if prompt in long}),
        longest_draft=0,
    )
    with forward.own_attention():
        found = {
            prompt: made
            for ended in decoder.answers([(prompt, ()) for prompt in prompts])
            for prompt, made in ended.items()
        }
    assert {prompt: len(made) for prompt, made in found.items()} == {
        prompt: 30 if prompt in long else 2 for prompt in prompts
    }
    steps = [shape for shape in rows if shape[1] == 1]
    assert len(steps) < 45
    assert max(shape[0] for shape in rows) == 2


@pytest.mark.parametrize("family", ["Gemma2", "Bloom", "GptOss", "Falcon", "Mamba"])
def test_what_the_attention_cannot_do_stays_with_the_models_own(family):
    """Soft-capping, ALiBi, attention sinks, an old code path, and a model without attention."""
    sizes = {} if family in ("Gemma2", "GptOss") else {"num_key_value_heads": 4}
    forward = SharedForward(tiny(family, **sizes))
    before = forward.model.config._attn_implementation
    try_out(forward, VOCABULARY, 512)
    assert forward.attention is Attention.PLAIN
    assert forward.model.config._attn_implementation == before


@pytest.mark.parametrize("option", ["softcap", "s_aux", "position_bias"])
def test_options_that_would_change_the_result_are_refused(option):
    states = torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match=f"glu_shared attention does not know {option}"):
        attend(torch.nn.Module(), states, states, states, None, **{option: torch.ones(1)})
    with pytest.raises(ValueError, match="dropout"):
        attend(torch.nn.Module(), states, states, states, None, dropout=0.5)


def test_an_attention_that_gives_other_logits_is_not_used(monkeypatch):
    own = Part.joined
    monkeypatch.setattr(Part, "joined", lambda self, other: own(self, other) * 1.01)
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)
    assert forward.attention is Attention.PLAIN


def test_memory_that_runs_out_while_trying_out_is_said(monkeypatch):
    forward = SharedForward(tiny("Llama"))

    def full(*_arguments, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(forward, "states", full)
    with pytest.raises(torch.OutOfMemoryError):
        try_out(forward, VOCABULARY, 512)
    assert forward.attention is Attention.PLAIN


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=6),
    shared=st.integers(0, 60),
    heads=st.sampled_from([(4, 4), (4, 2), (6, 1)]),
    scaling=st.sampled_from([None, 0.3]),
    seed=st.integers(0, 999),
)
def test_a_decoding_step_is_attention_to_beginning_and_own_tokens(lengths, shared, heads, scaling, seed):
    torch.manual_seed(seed)
    rows, (many, few), size = len(lengths), heads, 8
    query = torch.randn(rows, many, 1, size)
    key, value = (torch.randn(rows, few, max(lengths), size) for _ in range(2))
    first, second = (torch.randn(1, few, shared, size) for _ in range(2))
    layer = torch.nn.Module()
    layer.layer_idx = 0
    view = View(Beginning([first], [second], shared) if shared else None, spans(lengths, query.device, query.dtype))
    found, _ = attend(layer, query, key, value, None, scaling=scaling, glu_view=view)
    for row, length in enumerate(lengths):
        keys = torch.cat([first, key[row : row + 1, :, :length]], dim=2).repeat_interleave(many // few, dim=1)
        values = torch.cat([second, value[row : row + 1, :, :length]], dim=2).repeat_interleave(many // few, dim=1)
        expected = scaled_dot_product_attention(query[row : row + 1], keys, values, scale=scaling)
        assert torch.allclose(found[row : row + 1], expected.transpose(1, 2), atol=1e-5)


def test_sums_over_a_long_beginning_stay_in_the_range_of_float16():
    """Flat attention over 4000 values of 20: their sum is beyond 65504, their mean is not."""
    rows, size, shared = 3, 8, 4000
    query = torch.zeros(rows, 2, 1, size, dtype=torch.float16)
    key, value = (torch.zeros(rows, 2, 5, size, dtype=torch.float16) for _ in range(2))
    first, second = (torch.full((1, 2, shared, size), number, dtype=torch.float16) for number in (1.0, 20.0))
    layer = torch.nn.Module()
    layer.layer_idx = 0
    view = View(Beginning([first], [second], shared), spans([5] * rows, query.device, query.dtype))
    found, _ = attend(layer, query, key, value, None, glu_view=view)
    assert found.float().numpy() == pytest.approx(20 * shared / (shared + 5), abs=0.05)


@pytest.mark.parametrize(
    ("sizes", "count", "limit"),
    [([10] * 40, 20, 1000), ([300, *[20] * 60], 16, 4000), ([150] * 3 + [20] * 60, 16, 2000)],
)
def test_the_cache_stays_within_the_memory_that_was_free(monkeypatch, sizes, count, limit):
    """Long prompts come first, and all seats are as large as the longest row's."""
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)
    allocated, own = [], SeatCache.resize

    def resize(cache, seats, capacity):
        allocated.append((seats, seats * capacity))
        own(cache, seats, capacity)

    monkeypatch.setattr(SeatCache, "resize", resize)
    random = torch.Generator().manual_seed(0)
    prompts = [tuple(torch.randint(3, VOCABULARY, (size,), generator=random).tolist()) for size in sizes]
    rule = StopRule([], frozenset({2}), lambda _tokens: "")
    with forward.own_attention():
        found = {
            prompt: made
            for ended in generate(forward, prompts, Budget(32, limit), max_new_tokens=count, rule=rule)
            for prompt, made in ended.items()
        }
    assert found.keys() == set(prompts)
    assert all(tokens <= limit or seats == 1 for seats, tokens in allocated)
    assert max(seats for seats, _ in allocated) > 3


def test_memory_that_runs_out_between_steps_loses_no_answer(monkeypatch):
    """Only a forward pass is tried again; an error where answers leave their seats is raised."""
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)

    def move(_cache, _source, _target):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SeatCache, "move", move)
    prompts = [(3 + number, 4, 5) for number in range(6)]
    decoder = ContinuousDecoder(
        forward, None, Budget(6), max_new_tokens=9, has_stopped=lambda made: len(made) == 2 + made[0] % 5
    )
    with forward.own_attention(), pytest.raises(torch.OutOfMemoryError):
        list(decoder.answers([(prompt, ()) for prompt in prompts]))


def test_a_layer_without_keys_has_no_beginning():
    with pytest.raises(ValueError, match="a layer without keys and values"):
        new_cache(tiny("Llama"), 1, 4).beginning(2)
