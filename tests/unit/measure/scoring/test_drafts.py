"""Drafts of the next tokens: where they come from, how long they are."""

import pytest
import torch

from glu_lib.measure.scoring.drafts import MOST_DRAFTED, Lookup, agreed, most_drafted


def test_what_followed_the_newest_tokens_before_is_drafted():
    lookup = Lookup([7, 1, 2, 3, 4, 8, 9, 5, 1, 2, 3, 4])
    assert lookup.draft(5) == [8, 9]
    lookup.learn(2, 2)
    assert lookup.draft(5) == [8, 9, 5, 1]
    lookup.learn(4, 4)
    assert lookup.draft(6) == [8, 9, 5, 1, 2, 3]


def test_the_last_occurrence_counts():
    assert Lookup([1, 2, 3, 4, 8, 1, 2, 3, 4, 9, 1, 2, 3, 4]).draft(1) == [9]


@pytest.mark.parametrize("text", [[], [1], [1, 2, 3, 4], [1, 2, 3, 4, 1, 2, 3], range(50)])
def test_nothing_is_drafted_where_nothing_is_repeated(text):
    assert Lookup(text).draft(9) == []


def test_a_loop_is_drafted_beyond_its_period():
    lookup = Lookup([5, 1, 2, 1, 2, 1, 2])
    lookup.learn(MOST_DRAFTED // 2, MOST_DRAFTED // 2)
    assert lookup.draft(99) == [1, 2] * (MOST_DRAFTED // 2)
    lookup.add([1])
    assert lookup.draft(3) == [2, 1, 2]


def test_drafts_are_as_long_as_what_was_kept():
    lookup = Lookup([1] * 9)
    for drafted, kept, length in [(2, 2, 4), (4, 4, 8), (8, 8, 16), (16, 16, 16), (16, 5, 5), (5, 1, 1), (1, 1, 2)]:
        lookup.learn(drafted, kept)
        assert len(lookup.draft(99)) == length
    assert lookup.draft(0) == lookup.draft(-1) == []


def test_drafts_that_begin_wrong_become_rare_until_one_is_kept():
    lookup, rests = Lookup([1] * 9), []
    for _ in range(8):
        lookup.learn(len(lookup.draft(99)), 0)
        rest = 0
        while not lookup.draft(99):
            lookup.learn(0, 0)
            rest += 1
        rests.append(rest)
    assert rests == [1, 2, 4, 8, 16, 32, 32, 32]
    lookup.learn(1, 1)
    assert len(lookup.draft(99)) == 2
    lookup.learn(2, 0)
    lookup.learn(0, 0)
    assert len(lookup.draft(99)) == 1


def test_a_gpu_drafts_nothing():
    assert most_drafted(torch.device("cpu")) == MOST_DRAFTED
    assert most_drafted(torch.device("cuda", 0)) == most_drafted(torch.device("mps")) == 0


def test_a_draft_that_was_cut_short_does_not_shorten_the_next():
    lookup = Lookup([1] * 9)
    lookup.learn(8, 8)
    lookup.learn(3, 3)  # no more fitted into the cache
    assert len(lookup.draft(99)) == 16


def test_what_the_model_chose_too_counts_and_one_token_more():
    assert agreed([5, 6, 7, 8, 9, 1, 2], [[5, 6], [8, 3], []]) == [[5, 6, 7], [8, 9], [2]]
    assert agreed([4, 3], [[], []]) == [[4], [3]]
