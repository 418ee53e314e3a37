"""Decoding from times that are given, and what both scorers are compared by."""

from types import SimpleNamespace

import pytest
import torch
from gpu_parts.decoder import Decoding, decoding
from gpu_parts.floors import head_weights, layer_weights
from gpu_parts.plan import GSM8K, IFEVAL
from gpu_parts.scorer import times_for
from gpu_parts.scorers import equal_count, fitting, largest_difference, scaled

from glu_lib.errors import MeasurementError
from glu_lib.study.builtin_models import LLAMA_1B
from glu_lib.study.settings import DType

RATES = {"matmul": {"bfloat16": {"flop_per_s": 1e15}}, "copy_bytes_per_s": 1e12}
WORDS = [f"w{number}" for number in range(50)]


def test_a_step_is_the_difference_of_both_lengths():
    work = Decoding(scaled(IFEVAL, 1), short=8, long=136)
    found = work.figures((1.0, 5.0), LLAMA_1B, cached=1000, rates=RATES, dtype=DType.BFLOAT16)
    assert found["step_s"] == 4.0 / 128
    assert found["prompts_s"] == 1.0 - 8 * 4.0 / 128
    assert found["tokens_per_s"] == 32 * 136 / 5.0
    weights = layer_weights(LLAMA_1B) + head_weights(LLAMA_1B)
    cache = (1000 + 32 * 72) * 16 * 2 * 8 * 64  # the prompts, and half-way between both lengths
    assert found["floor_s"] == pytest.approx(2 * (weights + cache) / 1e12)
    assert found["floor_share"] == pytest.approx(found["floor_s"] / found["step_s"])


def test_without_rates_there_is_no_share():
    found = Decoding(IFEVAL, 8, 136).figures((1.0, 5.0), LLAMA_1B, 1000, None, DType.BFLOAT16)
    assert (found["floor_s"], found["floor_share"]) == (None, None)


def test_times_that_tell_no_step_are_refused():
    with pytest.raises(MeasurementError, match=r"136 new tokens took 0.900 s, 8 took 1.000 s: the machine is too busy"):
        Decoding(IFEVAL, 8, 136).figures((1.0, 0.9), LLAMA_1B, 1000, RATES, DType.BFLOAT16)


def test_no_prompt_is_asked_twice_and_the_fastest_round_counts():
    work, asked, seconds = Decoding(scaled(GSM8K, 0.25), 4, 12), [], iter([3.0, 9.0, 2.0, 8.0, 4.0, 7.0])

    def answer(requests):
        asked.extend(request.args for request in requests)
        return next(seconds)

    assert work.time(answer, WORDS) == (2.0, 7.0)
    assert len({context for context, _ in asked}) == len(asked) == 6 * 4
    assert [options["max_gen_toks"] for _, options in asked[:8]] == [4] * 4 + [12] * 4


@pytest.mark.parametrize(("is_tiny", "rows"), [(False, 32), (True, 4)])
def test_a_batch_of_32_rows_in_both_shapes(make_setup, is_tiny, rows):
    bench = SimpleNamespace(setup=make_setup(is_tiny=is_tiny))
    assert [decoding(bench, shape).rows for shape in (GSM8K, IFEVAL)] == [rows, rows]


def test_the_batch_is_halved_until_it_fits():
    tried = []

    def work(batch_size):
        tried.append(batch_size)
        if batch_size > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 5 GiB")
        return batch_size

    assert fitting(work) == 8
    assert tried == [32, 16, 8]


def test_other_errors_and_a_single_row_that_does_not_fit_are_raised():
    with pytest.raises(ValueError, match="wrong"):
        fitting(lambda size: (_ for _ in ()).throw(ValueError("wrong")))
    with pytest.raises(torch.OutOfMemoryError):
        fitting(lambda size: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))


def test_differences_are_relative_and_flags_and_texts_are_counted():
    ours, theirs = [(-100.0, True), (-0.5, False)], [(-101.0, True), (-0.4, True)]
    assert largest_difference(ours, theirs) == pytest.approx(0.1)
    assert largest_difference([-10.0], [-10.0]) == 0
    assert equal_count(ours, theirs) == 1
    assert equal_count(["a b", "c"], ["a b", "d"]) == 1


@pytest.mark.parametrize(("pilot_s", "times"), [(8.0, 1.0), (2.0, 2.0), (0.001, 32.0)])
def test_fast_machines_get_more_documents(pilot_s, times):
    assert times_for(pilot_s) == times
