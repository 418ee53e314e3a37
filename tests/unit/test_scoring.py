"""The suite's lm-eval model against lm-eval's own, and against the plain forward pass."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glu_lib.environment import detect_environment
from glu_lib.evaluation import wrap_model
from glu_lib.identity import resolve_identity
from glu_lib.models import load_model
from glu_lib.scoring.packing import common_length, distinct_tokens, plan, prompt_batches, rows
from glu_lib.settings import Scorer, Settings
from glu_lib.study import STUDY

TOKENS = st.lists(st.integers(3, 9), min_size=1, max_size=40).map(tuple)
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def models():
    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), detect_environment(Settings(device="cpu")))
    return [wrap_model(loaded.model, loaded.tokenizer, batch_size=4, scorer=scorer) for scorer in Scorer]


def plain_score(model, context, continuation, max_length):
    tokens = (list(context) + list(continuation))[-(max_length + 1) :]
    with torch.no_grad():
        logits = model(torch.tensor([tokens[:-1]])).logits[0, -len(continuation) :]
    logprobs = logits.log_softmax(-1)[range(len(continuation)), list(continuation)]
    return float(logprobs.sum()), logits.argmax(-1).tolist() == list(continuation)


@QUIET
@given(
    requests=st.lists(st.tuples(TOKENS, st.lists(st.integers(3, 9), min_size=1, max_size=5).map(tuple)), max_size=12)
)
def test_any_requests_get_the_plain_forward_passes_scores(models, requests):
    fast = models[0]
    found = fast._loglikelihood_tokens([(("", ""), list(c), list(k)) for c, k in requests], disable_tqdm=True)
    assert len(found) == len(requests)
    for (context, continuation), (logprob, _) in zip(requests, found, strict=True):
        expected, _ = plain_score(fast.model, context, continuation, fast.max_length)
        assert logprob == pytest.approx(expected, abs=1e-4, rel=1e-5)


@pytest.mark.parametrize("length", [255, 256, 257, 400])
def test_prompts_longer_than_the_context_lose_their_beginning(models, length):
    fast, _ = models
    context = [3 + index % 7 for index in range(length)]
    ((logprob, _),) = fast._loglikelihood_tokens([(("", ""), context, [5, 6])], disable_tqdm=True)
    assert logprob == pytest.approx(plain_score(fast.model, context, [5, 6], fast.max_length)[0], abs=1e-4)


@QUIET
@given(
    words=st.lists(
        st.lists(
            st.sampled_from(["please", "add", "find", "the", "sum", "of", "1", "2", "3", "and", ".", "answer", ":"]),
            min_size=1,
            max_size=30,
        ),
        min_size=1,
        max_size=9,
    )
)
def test_greedy_answers_are_hflms(models, words):
    fast, hf = models
    options = {"until": ["<eos>", "."], "max_gen_toks": 8, "do_sample": False}
    requests = [SimpleNamespace(args=(" ".join(found), options)) for found in words]
    assert fast.generate_until(requests, disable_tqdm=True) == hf.generate_until(requests, disable_tqdm=True)


def test_few_shot_prefixes_are_computed_once(models):
    fast, hf = models
    prefix = [3 + index * index % 90 for index in range(150)]
    requests = [(("", ""), [*prefix, 3 + k, 4, 5 + k % 11], [answer]) for k in range(60) for answer in (6, 7, 8, 9)]
    fast.reset_counts()
    found = fast._loglikelihood_tokens(requests, disable_tqdm=True)
    for (ours, ours_greedy), (theirs, theirs_greedy) in zip(
        found, hf._loglikelihood_tokens(requests, disable_tqdm=True), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-4)
        assert ours_greedy == theirs_greedy
    assert fast.forwarded_tokens <= 1.05 * fast.distinct_tokens
    assert fast.distinct_tokens < sum(len(context) for _, context, _ in requests) / 20


def test_a_model_that_packing_does_not_fit_is_left_to_hflm(models, monkeypatch, caplog):
    fast, hf = models
    monkeypatch.setattr(fast, "_can_share", None)
    monkeypatch.setattr(type(fast), "_check", lambda _self: False)
    requests = [(("", ""), [3, 4, 5], [6])] * 2
    assert fast._loglikelihood_tokens(requests, disable_tqdm=True) == hf._loglikelihood_tokens(
        requests, disable_tqdm=True
    )


@given(st.dictionaries(TOKENS, st.just(1), max_size=20), st.integers(4, 60))
def test_every_request_is_planned_once_with_its_own_tokens(requests, row_tokens):
    found = []
    for group in plan(requests, row_tokens):
        for tree in group.trees:
            for suffix, path in tree.paths.items():
                assert tuple(tree.tokens[node] for node in path) == suffix
                assert [tree.depths[node] for node in path] == list(range(len(path)))
                assert all(tree.parents[child] == parent for parent, child in pairwise(path))
                found.append(group.prefix + suffix)
        packed = rows(group.trees, row_tokens)
        assert sum(map(len, packed)) == len(group.trees)
        assert all(len(row) == 1 or sum(len(tree.tokens) for tree in row) <= row_tokens for row in packed)
    assert sorted(found) == sorted(requests)


@given(st.lists(TOKENS, max_size=20), st.integers(1, 5))
def test_every_prompt_is_in_one_batch_behind_its_own_prefix(prompts, batch_size):
    found = []
    for prefix, batch in prompt_batches(prompts, batch_size):
        assert 1 <= len(batch) <= batch_size
        assert all(prompt[: len(prefix)] == prefix and len(prompt) > len(prefix) for prompt in batch)
        found += batch
    assert sorted(found) == sorted(set(prompts))


@given(TOKENS, TOKENS)
def test_the_common_length_is_the_longest(a, b):
    length = common_length(a, b)
    assert a[:length] == b[:length]
    assert length in (len(a), len(b)) or a[length] != b[length]


@given(st.sets(TOKENS, max_size=12))
def test_distinct_tokens_are_the_nodes_of_the_trie(requests):
    assert distinct_tokens(requests) == len(
        {request[:end] for request in requests for end in range(1, len(request) + 1)}
    )
