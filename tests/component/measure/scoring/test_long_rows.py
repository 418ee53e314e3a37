"""Log-likelihoods of long rows in pieces: same scores, bounded passes, progress, and nothing lost but a row."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_families import FAMILIES, VOCABULARY, tiny

from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.scoring import pieces
from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.encoding import Encoded
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.likelihood import LikelihoodPlan
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Attention, Scorer, Settings


@pytest.fixture(scope="module", params=FAMILIES)
def forward(request):
    found = SharedForward(tiny(request.param))
    try_out(found, VOCABULARY, 512)
    assert found.attention is Attention.SHARED
    return found


@pytest.fixture
def passes(forward, monkeypatch):
    """The number of tokens in each forward pass."""
    return counted(forward, monkeypatch)


def counted(forward, monkeypatch):
    found, own = [], forward.states

    def states(tokens, **arguments):
        found.append(tokens.numel())
        return own(tokens, **arguments)

    monkeypatch.setattr(forward, "states", states)
    return found


def drawn(seed, size):
    return torch.randint(3, VOCABULARY, (size,), generator=torch.Generator().manual_seed(seed)).tolist()


def scores(forward, requests, **options):
    """All scores in the order of the requests."""
    found = {}
    with forward.own_attention():
        for batch in LikelihoodPlan(requests, 512).score(forward, Budget(64), torch.float32, **options):
            found |= batch
    return [found[index] for index in range(len(requests))]


def plain_scores(model, requests):
    """From one forward pass for each request, with the model's own attention."""
    found = []
    for request in requests:
        context, targets = list(request.context), list(request.continuation)
        with torch.no_grad():
            logits = model(torch.tensor([[*context, *targets][:-1]])).logits[0, -len(targets) :].float()
        logprobs = logits.log_softmax(-1)[range(len(targets)), targets]
        found.append((float(logprobs.sum()), logits.argmax(-1).tolist() == targets))
    return found


@settings(max_examples=12, deadline=None)
@given(
    size=st.integers(8, 90),
    context=st.integers(1, 160),
    scored=st.integers(1, 200),
    others=st.lists(st.tuples(st.integers(0, 160), st.integers(1, 40)), max_size=3),
    seed=st.integers(0, 99),
)
def test_pieces_of_any_size_give_the_scores_of_one_pass(forward, size, context, scored, others, seed):
    """A window of which all is scored, and requests that begin like it and then differ: chains, trees, prefixes."""
    text = drawn(seed, context + scored)
    requests = [Encoded.of(text[:context], text[context:])]
    for number, (shared, length) in enumerate(others):
        own = drawn(seed + number + 1, length + 1)
        requests.append(Encoded.of([*text[:shared], own[0]], own[1:]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "MOST_TOKENS", size)
        found = scores(forward, requests)
    expected = plain_scores(forward.model, requests)
    for (ours, ours_greedy), (theirs, theirs_greedy) in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-5)
        assert ours_greedy == theirs_greedy


def test_greedy_continuations_are_found_across_pieces(forward, monkeypatch):
    """A text that the model itself would write is greedy in all pieces; with another last token it is not."""
    text = drawn(1, 3)
    with torch.no_grad():
        while len(text) < 60:
            text.append(int(forward.model(torch.tensor([text])).logits[0, -1].argmax()))
    other = [*text[:-1], 3 + (text[-1] - 2) % (VOCABULARY - 3)]
    monkeypatch.setattr(pieces, "MOST_TOKENS", 16)
    found = scores(forward, [Encoded.of(text[:3], text[3:]), Encoded.of(other[:3], other[3:])])
    assert [is_greedy for _, is_greedy in found] == [True, False]


def test_no_pass_is_larger_than_a_piece(forward, passes, monkeypatch):
    monkeypatch.setattr(pieces, "MOST_TOKENS", 64)
    text = drawn(0, 400)
    branches = [Encoded.of(text[:300], [*drawn(seed, 20)]) for seed in range(3)]
    scores(forward, [Encoded.of(text[:1], text[1:]), *branches])
    assert max(passes) == 64
    assert sum(passes) <= 399 + 300 + 3 * 20


def test_progress_is_told_between_the_pieces(forward, monkeypatch):
    monkeypatch.setattr(pieces, "MOST_TOKENS", 30)
    told = []
    text = drawn(0, 100)
    scores(forward, [Encoded.of(text[:1], text[1:])], observe=lambda *seen: told.append(seen))
    assert told == [(30, 99), (60, 99), (90, 99), (99, 99)]


def test_an_interruption_between_pieces_costs_the_pieces_of_one_row(monkeypatch):
    forward = SharedForward(tiny("Llama"))
    try_out(forward, VOCABULARY, 512)
    passes = counted(forward, monkeypatch)
    monkeypatch.setattr(pieces, "MOST_TOKENS", 30)
    texts = [drawn(seed, size) for seed, size in ((0, 121), (1, 91), (2, 11))]
    requests = [Encoded.of(text[:1], text[1:]) for text in texts]
    expected = scores(forward, requests)
    del passes[:]
    known = {}

    def ctrl_c(done, total):
        if total == 90 and done == 60:
            raise KeyboardInterrupt

    with forward.own_attention():
        batches = LikelihoodPlan(requests, 512).score(forward, Budget(64), torch.float32, observe=ctrl_c)
        known |= next(batches)
        with pytest.raises(KeyboardInterrupt):
            next(batches)
    assert known == {0: expected[0]}
    assert passes == [30] * 6
    del passes[:]
    assert scores(forward, requests, known=known) == expected
    assert passes == [30, 30, 30, 10]


def test_the_models_own_attention_computes_a_row_in_one_pass(monkeypatch):
    forward = SharedForward(tiny("Llama"))
    passes = counted(forward, monkeypatch)
    monkeypatch.setattr(pieces, "MOST_TOKENS", 30)
    text = drawn(0, 100)
    scores(forward, [Encoded.of(text[:1], text[1:])])
    assert passes == [99]


def test_the_bar_shows_the_tokens_of_a_long_row(monkeypatch, capsys):
    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), detect_environment(Settings(device="cpu")))
    fast = wrap_model(loaded.model, loaded.tokenizer, batch_size=4, scorer=Scorer.FAST)
    (whole,) = fast.loglikelihood_rolling([SimpleNamespace(args=("please add 1 2 . " * 15,))], disable_tqdm=True)
    monkeypatch.setattr(pieces, "MOST_TOKENS", 32)
    capsys.readouterr()
    (found,) = fast.loglikelihood_rolling([SimpleNamespace(args=("please add 1 2 . " * 15,))])
    assert found == pytest.approx(whole, abs=1e-4)
    assert ", 32 of " in capsys.readouterr().err
