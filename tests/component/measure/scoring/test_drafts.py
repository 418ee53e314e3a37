"""Answers with drafts are those of plain greedy decoding, in fewer forward passes."""

import pytest
import torch
from tiny_families import FAMILIES, VOCABULARY, tiny

from glu_lib.errors import NotFiniteError
from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.drafts import Lookup
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.greedy_answers import StopRule, generate
from glu_lib.measure.scoring.trying_out import try_out

NO_STOP = StopRule([], frozenset(), lambda _tokens: "")
WORDS = torch.randint(3, VOCABULARY, (9, 30), generator=torch.Generator().manual_seed(1)).tolist()


@pytest.fixture(scope="module")
def llama():
    found = SharedForward(tiny("Llama"))
    try_out(found, VOCABULARY, 512)
    return found


def answers(forward, prompts, count, *, longest_draft=None, rule=NO_STOP, seats=4, cache_tokens=None):
    """The answers, and the number of forward passes."""
    passes = []
    handle = forward.backbone().register_forward_hook(lambda *_: passes.append(1))
    found = {}
    budget = Budget(seats, cache_tokens)
    with forward.own_attention():
        for made in generate(forward, prompts, budget, max_new_tokens=count, rule=rule, longest_draft=longest_draft):
            found |= made
    handle.remove()
    return found, len(passes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shared", [0, 12])
def test_answers_are_equal_and_take_fewer_passes(family, shared):
    forward = SharedForward(tiny(family))
    try_out(forward, VOCABULARY, 512)
    prompts = [(*WORDS[0][:shared], *row[: 29 - 3 * at]) for at, row in enumerate(WORDS)]
    plain, steps = answers(forward, prompts, 60, longest_draft=0)
    drafted, fewer = answers(forward, prompts, 60)
    assert drafted == plain
    assert fewer < steps  # tiny random models repeat themselves soon


@pytest.mark.parametrize("count", range(1, 24, 3))
def test_an_answer_ends_in_the_middle_of_a_draft(llama, count):
    prompts = [(*row[:9], *[5, 6] * 6) for row in WORDS]
    whole, _ = answers(llama, prompts, 40, longest_draft=0)
    limited, _ = answers(llama, prompts, count)
    assert limited == {prompt: tokens[:count] for prompt, tokens in whole.items()}
    ends = frozenset({whole[prompts[0]][count]})
    stopped, _ = answers(llama, prompts, 40, rule=StopRule([], ends, lambda _tokens: ""))
    for prompt, tokens in whole.items():
        end = next((at for at, token in enumerate(tokens) if token in ends), 39)
        assert stopped[prompt] == tokens[: end + 1]


@pytest.mark.parametrize("cache_tokens", [1, 60, 200])
def test_a_draft_needs_no_more_cache_than_its_row_has(llama, cache_tokens):
    prompts = [tuple(row[:20]) for row in WORDS]
    plain, _ = answers(llama, prompts, 50, longest_draft=0)
    assert answers(llama, prompts, 50, cache_tokens=cache_tokens)[0] == plain


def test_wrong_drafts_change_nothing(llama, monkeypatch):
    prompts = [tuple(row[:20]) for row in WORDS]
    plain, _ = answers(llama, prompts, 20, longest_draft=0)
    turn = iter(range(10**6))
    monkeypatch.setattr(Lookup, "draft", lambda _self, most: [3 + next(turn) % 90] * min(most, next(turn) % 4))
    assert answers(llama, prompts, 20)[0] == plain


@pytest.mark.parametrize(("place", "is_error"), [(0, True), (1, False)])
def test_only_positions_that_count_must_be_finite(llama, monkeypatch, place, is_error):
    """A rejected draft is a text that the model never wrote."""
    own = llama.output

    def broken(hidden):
        logits = own(hidden)
        if len(hidden) > place:  # the second place is that of a draft
            logits[place] = torch.nan
        return logits

    prompt = tuple(WORDS[0])
    (plain,) = answers(llama, [prompt], 6, longest_draft=0)[0].values()
    wrong = next(token for token in range(3, VOCABULARY) if token not in plain)
    monkeypatch.setattr(Lookup, "draft", lambda _self, most: [wrong][: max(0, most)])
    monkeypatch.setattr(llama, "output", broken)
    if is_error:
        with pytest.raises(NotFiniteError, match="the logits of 1 of 1 prompts"):
            answers(llama, [prompt], 6)
    else:
        assert answers(llama, [prompt], 6)[0] == {prompt: plain}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_guess_without_finite_states_leaves_nothing_behind(monkeypatch, value):
    """Its keys would turn every later position into NaN, also behind a mask."""
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)
    prompts = [tuple(row) for row in WORDS[:4]]
    plain, _ = answers(forward, prompts, 8, longest_draft=0)
    used = {token for prompt, made in plain.items() for token in (*prompt, *made)}
    never = next(token for token in range(3, VOCABULARY) if token not in used)
    with torch.no_grad():
        forward.model.get_input_embeddings().weight[never] = value
    monkeypatch.setattr(Lookup, "draft", lambda _self, most: [never][: max(0, most)])
    assert answers(forward, prompts, 8)[0] == plain


def test_nothing_is_looked_up_where_nothing_is_drafted(llama, monkeypatch):
    monkeypatch.setattr("glu_lib.measure.scoring.continuous.Lookup", None)  # calling it would fail
    assert len(answers(llama, [tuple(WORDS[0])], 5, longest_draft=0)[0]) == 1
