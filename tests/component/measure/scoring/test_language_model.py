"""The suite's lm-eval model against lm-eval's own, and against the plain forward pass."""

import copy
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.scoring.greedy_answers import StopRule
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Attention, Scorer, Settings

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
        logits = model(torch.tensor([tokens[:-1]])).logits[0, -len(continuation) :].float()
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


def instances(*arguments):
    return [SimpleNamespace(args=found) for found in arguments]


TEXTS = st.lists(
    st.sampled_from(["please", "add", "the", "sum", "of", "1", "2", "answer", ":", ".", "ünknown", "🙂"]), max_size=40
).map(" ".join)


@QUIET
@given(st.lists(st.tuples(TEXTS, st.sampled_from([" yes", " no", " the sum", " 🙂", " 1 2 ."])), max_size=8))
def test_any_texts_get_hflms_scores(models, pairs):
    """Empty contexts, one-token continuations, duplicates, unicode, no request at all.

    HFLM answers requests with equal inputs and continuations of different lengths from one row; texts that end alike
    in different ways are left out here, and compared with the plain forward pass above.
    """
    fast, hf = models
    pairs = list({context + continuation: (context, continuation) for context, continuation in pairs}.values()) * 2
    found = fast.loglikelihood(instances(*pairs), disable_tqdm=True)
    expected = hf.loglikelihood(instances(*pairs), disable_tqdm=True) if pairs else []
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4, rel=1e-5)


@QUIET
@given(st.lists(TEXTS.filter(bool).map(lambda text: text * 9), max_size=5))
def test_whole_texts_get_hflms_scores(models, texts):
    fast, hf = models
    found = fast.loglikelihood_rolling(instances(*[(text,) for text in texts]), disable_tqdm=True)
    expected = hf.loglikelihood_rolling(instances(*[(text,) for text in texts]), disable_tqdm=True)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-3)


@pytest.mark.parametrize(("context", "continuation"), [([3], []), ([3], [4] * 257)])
def test_a_continuation_that_cannot_be_scored_is_one_line(models, context, continuation):
    with pytest.raises(
        MeasurementError, match=r"a continuation has \d+ tokens, and the model's context allows 1 to 256; "
    ):
        models[0]._loglikelihood_tokens([(("", ""), context, continuation)], disable_tqdm=True)


def test_out_of_memory_shrinks_the_batch_and_repeats_nothing_else(models, monkeypatch):
    fast, _ = models
    requests = [(("", ""), [3 + k, 4, 5 + k % 11, *range(6, 6 + k % 30)], [6]) for k in range(60)]
    expected = fast._loglikelihood_tokens(requests, disable_tqdm=True)
    own, sizes = fast._forward.hidden_states, []

    def small(batch, past, cache):
        sizes.append(len(batch))
        if len(batch) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(batch, past, cache)

    monkeypatch.setattr(fast._forward, "hidden_states", small)
    monkeypatch.setattr(fast, "batch_size_per_gpu", 16)
    found = fast._loglikelihood_tokens(requests, disable_tqdm=True)
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert fast.batch_size < 16
    assert sum(size for size in sizes if size <= 5) == 60


def test_out_of_memory_shrinks_the_batch_of_generations_with_plain_attention(models, monkeypatch):
    import glu_lib.measure.scoring.greedy_answers as generation

    fast, _ = models
    assert fast._shares_prefixes()
    monkeypatch.setattr(fast._forward, "attention", Attention.PLAIN)
    options = {"until": ["<eos>"], "max_gen_toks": 4, "do_sample": False}
    requests = instances(*[(f"please add {k} and 2 .", options) for k in range(1, 8)])
    expected = fast.generate_until(requests, disable_tqdm=True)
    own, sizes = generation.decode_greedily, []

    def small(model, suffixes, **arguments):
        if len(suffixes) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(suffixes))
        return own(model, suffixes, **arguments)

    monkeypatch.setattr(generation, "decode_greedily", small)
    monkeypatch.setattr(fast, "batch_size_per_gpu", 8)
    assert fast.generate_until(requests, disable_tqdm=True) == expected
    assert (fast.batch_size, sum(sizes)) == (2, 7)


def test_out_of_memory_takes_answers_out_of_their_seats_and_goes_on(models, monkeypatch):
    fast, _ = models
    options = {"until": ["<eos>"], "max_gen_toks": 6, "do_sample": False}
    requests = instances(*[(f"please add {k} and 2 .", options) for k in range(1, 8)])
    expected = fast.generate_until(requests, disable_tqdm=True)
    own, sizes = fast._forward.states, []

    def small(tokens, **arguments):
        if len(tokens) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(tokens))
        return own(tokens, **arguments)

    monkeypatch.setattr(fast._forward, "states", small)
    monkeypatch.setattr(fast, "batch_size_per_gpu", 8)
    assert fast.generate_until(requests, disable_tqdm=True) == expected
    assert (fast.batch_size, max(sizes)) == (3, 3)


def test_out_of_memory_with_a_single_prompt_is_said(models, monkeypatch):
    fast, _ = models
    assert fast._shares_prefixes()

    def full(*_arguments, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fast._forward, "states", full)
    monkeypatch.setattr(fast, "batch_size_per_gpu", 8)
    requests = instances(("please add 1", {"until": ["<eos>"], "max_gen_toks": 4, "do_sample": False}))
    with pytest.raises(torch.OutOfMemoryError):
        fast.generate_until(requests, disable_tqdm=True)
    assert fast.batch_size == 1


def test_a_sliding_window_that_the_context_exceeds_is_left_to_hflm(models, monkeypatch):
    fast, _ = models
    monkeypatch.setattr(fast, "_can_share", None)
    monkeypatch.setattr(fast.model.config, "sliding_window", 100, raising=False)
    assert not fast._shares_prefixes()
    monkeypatch.setattr(fast, "_can_share", None)
    monkeypatch.setattr(fast.model.config, "sliding_window", 256)
    assert fast._shares_prefixes()


def test_in_bfloat16_scores_are_as_near_to_float32_as_the_plain_forward_passes(models):
    """Rounding at each operation moves a log-probability of `nano` by 0.06 on average, whoever computes it.

    The truth is the plain forward pass in float32 on the same rounded weights.
    """
    fast, _ = models
    rounded = copy.deepcopy(fast.model).to(torch.bfloat16)
    exact = copy.deepcopy(rounded).to(torch.float32)
    answers = ([7], [8, 9], [10])
    requests = [(("", ""), [3 + k, 4, 5 + k % 11, *range(6, 6 + k)], answer) for k in range(40) for answer in answers]
    found = wrap_model(rounded, fast.tokenizer, batch_size=4)._loglikelihood_tokens(requests, disable_tqdm=True)
    ours, plain = 0.0, 0.0
    for (_, context, continuation), (logprob, _) in zip(requests, found, strict=True):
        expected, _ = plain_score(exact, context, continuation, fast.max_length)
        ours += abs(logprob - expected) / len(requests)
        plain += abs(plain_score(rounded, context, continuation, fast.max_length)[0] - expected) / len(requests)
    assert 0.01 < plain < 0.15
    assert ours < 1.25 * plain


@pytest.mark.parametrize(
    "change",
    [
        {"window_size": 100},
        {"attention_chunk_size": 32},
        {"final_logit_softcapping": 30.0},
        {"logit_scale": 0.5},
    ],
)
def test_local_attention_and_changed_logits_are_left_to_hflm(models, monkeypatch, change):
    fast, _ = models
    monkeypatch.setattr(fast, "_can_share", None)
    for name, value in change.items():
        monkeypatch.setattr(fast.model.config, name, value, raising=False)
    assert not fast._shares_prefixes()


def test_a_real_model_with_local_layers_gets_hflms_scores(models):
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    fast, _ = models
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 128, "window_size": 16}
    config = GPTNeoConfig(vocab_size=600, attention_types=[[["global", "local"], 1]], **size)
    model = GPTNeoForCausalLM(config).eval()
    lms = [wrap_model(model, fast.tokenizer, batch_size=4, scorer=scorer) for scorer in Scorer]
    context = [3 + k % 90 for k in range(60)]
    requests = [(("", ""), context, [answer, 7]) for answer in (5, 6, 8)]
    ours, theirs = (lm._loglikelihood_tokens(requests, disable_tqdm=True) for lm in lms)
    assert [score for score, _ in ours] == pytest.approx([score for score, _ in theirs], abs=1e-4)


@pytest.mark.parametrize("setting", [{"max_new_tokens": 3}, {"repetition_penalty": 1.3}, {"guidance_scale": 2.0}])
def test_a_generation_configuration_of_its_own_is_left_to_hflm(models, monkeypatch, setting):
    fast, _ = models
    options = {"until": ["<eos>"], "max_gen_toks": 8, "do_sample": False}
    assert fast._decodes_greedily(options)
    for name, value in setting.items():
        monkeypatch.setattr(fast.model.generation_config, name, value)
    assert not fast._decodes_greedily(options)


@pytest.mark.parametrize("limit", [0, 256, 300])
def test_answers_that_leave_no_room_for_a_prompt_are_one_line(models, limit):
    options = {"until": ["<eos>"], "max_gen_toks": limit, "do_sample": False}
    with pytest.raises(MeasurementError, match=f"max_gen_toks is {limit}: it must be at least 1 and leave room"):
        models[0].generate_until(instances(("please add 1", options)), disable_tqdm=True)


def test_an_empty_context_without_a_first_token_is_one_line(models):
    with pytest.raises(MeasurementError, match="an empty context needs a first token; give the tokenizer"):
        models[0]._loglikelihood_tokens([(("", ""), [], [4])], disable_tqdm=True)


def test_out_of_memory_in_the_self_check_says_so_and_decides_nothing(models, monkeypatch):
    fast, _ = models
    monkeypatch.setattr(fast, "_can_share", None)

    def full(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fast._forward, "hidden_states", full)
    with pytest.raises(torch.OutOfMemoryError):
        fast._shares_prefixes()
    assert fast._can_share is None


def test_stop_strings_of_many_bytes_are_found_in_the_tail():
    text = "終" * 5
    decode = lambda tokens: bytes(tokens).decode(errors="replace")  # noqa: E731
    rule = StopRule([text], frozenset(), decode)
    assert rule.is_met([65] * 40 + list(text.encode()))
    assert not rule.is_met([65] * 40 + list(text.encode())[:-1])


def test_a_prompt_without_an_answer_is_no_empty_answer(models, monkeypatch):
    fast = models[0]
    monkeypatch.setattr("glu_lib.measure.scoring.language_model.generate", lambda *_given, **_options: iter(()))
    requests = [SimpleNamespace(args=(text, {"until": ["\n"], "max_gen_toks": 4})) for text in ("one", "two")]
    with pytest.raises(MeasurementError, match="2 of 2 prompts got no answer; run the case again"):
        fast.generate_until(requests, disable_tqdm=True)
