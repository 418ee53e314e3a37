"""Each part on tiny models: what it counts, and that both scorers say the same."""

import json

import pytest
import torch
from gpu_parts.decoder import measure_decoder
from gpu_parts.equality import measure_equality
from gpu_parts.killed_work import Job, run_job
from gpu_parts.networks import words
from gpu_parts.plan import GSM8K, IFEVAL, SCORED, Part, Unit
from gpu_parts.rates import measure_rates
from gpu_parts.scorer import measure_scorer
from gpu_parts.scorers import Who, ask, make_scorer, requests_of

from glu_lib.measure.scoring.language_model import SharedPrefixLM
from glu_lib.results.folder import ResultsFolder
from glu_lib.study.settings import DType


def test_words_are_tokens_and_back(bench):
    network = bench.network("llama1b")
    text = " ".join(network.words[5:8])
    tokens = network.tokenizer(text)["input_ids"]
    assert tokens == [8, 9, 10]
    assert network.tokenizer.decode(tokens) == text
    assert len(words(network.shape)) + 3 == network.shape.vocab_size == len(network.tokenizer)


@pytest.mark.parametrize("who", Who)
def test_no_answer_ends_early(bench, who):
    network = bench.network("llama1b")
    texts = ask(make_scorer(who, network), IFEVAL, requests_of(IFEVAL, network.words, seed=0, new_tokens=12))
    assert {len(text.split()) for text in texts} == {12}
    assert len(texts) == 32


def test_one_model_is_in_memory_at_a_time(bench):
    first = bench.network("llama1b")
    assert bench.network("llama1b") is first
    assert bench.network("llama1b", DType.BFLOAT16).model.dtype is torch.bfloat16
    again = bench.network("llama1b")
    assert again is not first
    for ours, theirs in zip(again.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # a process that resumes has the weights of the one before


@pytest.mark.parametrize("shape", SCORED, ids=lambda shape: shape.name)
def test_both_scorers_answer_the_same_requests(bench, shape):
    found = measure_scorer(bench, Unit(Part.SCORER, "llama1b", shape))
    ours, theirs = found["ours"], found["hflm"]
    assert found["largest_relative_difference"] < 1e-5
    assert found["equal_greedy_flags"] in (None, found["shape"]["requests"])
    assert found["times_faster"] == theirs["fastest_s"] / ours["fastest_s"]
    assert found["least_tokens"] <= ours["forwarded"] < 1.25 * found["least_tokens"]
    for side in (ours, theirs):
        assert len(side["rounds_s"]) == 3
        assert side["tokens_per_s"] == found["least_tokens"] / side["fastest_s"]
        assert side["product_share"] == pytest.approx(found["least_flop"] / side["fastest_s"] / 1e11)
        assert side["peak_bytes"] > 0


def test_work_left_to_hflm_is_no_measurement_of_ours(bench, monkeypatch):
    monkeypatch.setattr("gpu_parts.scorer.needed_tokens", lambda *_: 0)  # it counted nothing
    with pytest.raises(Exception, match="the suite's scorer left this model to HFLM"):
        measure_scorer(bench, Unit(Part.SCORER, "llama1b", SCORED[2]))


@pytest.mark.parametrize("shape", [GSM8K, IFEVAL], ids=lambda shape: shape.name)
def test_decoding_tells_steps_of_both_scorers(bench, shape, monkeypatch):
    # A busy machine may take longer for few tokens than for many.
    monkeypatch.setattr("gpu_parts.decoder.call_seconds", lambda device, work: (work(), next(times))[1])
    times = iter([1.0, 2.0] * 6)
    found = measure_decoder(bench, Unit(Part.DECODER, "llama1b", shape))
    assert (found["equal_texts"], found["texts"], found["shape"]["rows"]) == (4, 4, 4)
    assert found["prompt_tokens"] == shape.shots + 4 * 60
    for who in Who:
        assert found[who]["step_s"] == 1.0 / 32
        assert 0 < found[who]["floor_share"] < 1
        assert found[who]["peak_bytes"] > 0


def test_values_are_equal_in_float32(bench):
    found = measure_equality(bench, Unit(Part.EQUAL, "llama1b"))
    assert found["is_equal"]
    assert len(found["shapes"]) == 7
    assert found["shapes"]["gsm8k_5shot"] == {"requests": 3, "largest_relative_difference": None, "equal": 3}


def test_values_that_differ_are_found(bench, monkeypatch):
    def spoiled(lm, shape, requests):
        found = ask(lm, shape, requests)
        is_ours = isinstance(lm, SharedPrefixLM)
        return [(found[0][0] * 1.01, found[0][1]), *found[1:]] if is_ours and shape.name == "boolq" else found

    monkeypatch.setattr("gpu_parts.equality.ask", spoiled)
    found = measure_equality(bench, Unit(Part.EQUAL, "llama1b"))
    assert not found["is_equal"]
    assert found["shapes"]["boolq"]["largest_relative_difference"] == pytest.approx(0.01)


def test_rates_of_this_machine_are_positive(bench):
    found = measure_rates(bench, Unit(Part.RATES))
    assert set(found["matmul"]) == {"float32", "bfloat16", "float16"}
    assert min(rate["flop_per_s"] for rate in found["matmul"].values()) > 0
    assert min(found["copy_bytes_per_s"], found["launch_s"]) > 0


def test_work_resumes_from_its_journal_with_the_same_scores(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_parts.killed_work.SUBJECTS", 3)
    ResultsFolder(tmp_path).check_writable()
    first = Job(str(tmp_path), "first", "llama1b", documents=2, journal="shared.jsonl")
    run_job(bench, first)
    assert first.kept() == first.requests == 24
    second = Job(str(tmp_path), "second", "llama1b", documents=2, journal="shared.jsonl")
    run_job(bench, second)
    one, other = (json.loads(job.path("result.json").read_text()) for job in (first, second))
    assert (one["kept"], other["kept"]) == (0, 24)
    assert one["scores"] == other["scores"]
    assert first.forwarded_tokens() == one["forwarded"] > 0
    assert second.forwarded_tokens() == 0
