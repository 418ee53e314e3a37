"""A perplexity beyond what tables can hold is a result: infinite inside lm-eval, recorded by its logarithm."""

import copy
import json
import math

import numpy as np
import pytest

from glu_lib.errors import MeasurementError
from glu_lib.measure.accuracy.bootstrap import perplexity_stderr
from glu_lib.measure.accuracy.results import Evaluation, MetricValue, compact, json_value, metric_values
from glu_lib.measure.accuracy.score_case import check_evaluation, task_fields
from glu_lib.measure.accuracy.shortcuts import without_underflow
from glu_lib.results.collapse import LIMIT, Overflowed, as_recorded, exp, read_recorded
from glu_lib.study import STUDY
from glu_lib.study.settings import Attention

LOG_1E400 = 400 * math.log(10)


def test_e_to_the_power_of_anything_is_a_number():
    assert exp(2.0) == math.exp(2.0)
    huge = exp(LOG_1E400)
    assert huge == math.inf
    assert huge.exponent == LOG_1E400
    assert copy.deepcopy(huge).exponent == LOG_1E400
    assert exp(math.inf) == math.inf
    assert not isinstance(exp(math.inf), Overflowed)
    assert math.isnan(exp(math.nan))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (46.31, {"value": 46.31, "stderr": 0.5, "is_collapsed": False, "log_value": None}),
        (8.9e87, {"value": None, "stderr": None, "is_collapsed": True, "log_value": pytest.approx(202.510954)}),
        (exp(LOG_1E400), {"value": None, "stderr": None, "is_collapsed": True, "log_value": LOG_1E400}),
        (math.inf, {"value": None, "stderr": None, "is_collapsed": True, "log_value": None}),
    ],
)
def test_a_record_holds_finite_numbers_and_the_logarithm_of_a_collapsed_value(value, expected):
    assert as_recorded(value, 0.5, is_collapsed=value > LIMIT) == expected


@pytest.mark.parametrize("stderr", [1e61, math.inf, math.nan, None])
def test_a_standard_error_beyond_the_limit_is_not_known(stderr):
    assert as_recorded(1e50, stderr, is_collapsed=False)["stderr"] is None


@pytest.mark.parametrize(
    ("metric", "higher_is_better", "value", "is_collapsed"),
    [
        ("word_perplexity", False, 8.9e87, True),
        ("word_perplexity", None, 8.9e87, True),
        ("word_perplexity", None, 10**90, True),
        ("word_perplexity", False, 8.9e57, False),
        ("acc", True, 8.9e87, False),
        ("acc", None, 8.9e87, False),
        ("word_perplexity", True, 8.9e87, False),
    ],
)
def test_records_of_before_hold_a_collapsed_value_as_a_number(metric, higher_is_better, value, is_collapsed):
    found = read_recorded(metric, value, None, higher_is_better=higher_is_better)
    assert found["is_collapsed"] is is_collapsed
    assert found["value"] == (None if is_collapsed else value)
    assert found["log_value"] == (pytest.approx(math.log(value)) if is_collapsed else None)


def test_the_standard_error_of_what_does_not_overflow_is_that_of_the_replicates():
    logprobs = np.random.default_rng(5).normal(-300, 40, 64)
    draws = np.random.default_rng(0).integers(64, size=(500, 64))
    expected = np.exp(-logprobs[draws].mean(axis=1)).std(ddof=1)
    assert perplexity_stderr(logprobs, 500) == pytest.approx(expected, rel=1e-9)


def test_only_what_would_underflow_is_raised():
    assert without_underflow([(-3.0, True), (-9000.0, False)]) == [(-3.0, True), (-9000.0, False)]
    assert without_underflow([(-700.0, True), (-9000.0, False)]) == [(0.0, True), (-8300.0, False)]
    assert without_underflow([(-math.inf, False)] * 2) == [(-math.inf, False)] * 2


def results(value, metric="word_perplexity", higher=False):
    return {
        "results": {"t": {f"{metric},none": value, f"{metric}_stderr,none": "N/A"}},
        "higher_is_better": {"t": {metric: higher}},
        "n-samples": {"t": {"original": 20, "effective": 20}},
    }


@pytest.mark.parametrize(
    ("found", "is_collapsed"),
    [
        (results(8.9e87), True),
        (results(exp(LOG_1E400)), True),
        (results(math.inf, "bits_per_byte"), True),
        (results(math.inf, "ppl"), True),
        (results(math.inf, higher=None), True),
        (results(1e59), False),
        (results(math.nan), False),
        (results(math.inf, "f1", higher=True), False),
        (results(np.float64(0.5), "acc", higher=True), False),
    ],
)
def test_a_metric_of_which_lower_is_better_collapses(found, is_collapsed):
    (value,) = metric_values(found)
    assert value.is_collapsed is is_collapsed


def evaluation(value):
    return Evaluation(value, (value,), (), 20, 20, 0, {}, {"t": "1"}, 0, 0, 0, 0, 8, Attention.PLAIN, None, {}, {})


@pytest.mark.parametrize(
    ("value", "log_value"), [(8.9e87, math.log(8.9e87)), (exp(LOG_1E400), LOG_1E400), (math.inf, None)]
)
def test_a_collapsed_headline_passes_and_stands_in_the_record(value, log_value):
    task = STUDY.tasks["narrative"]
    found = evaluation(next(metric_values(results(value))))
    check_evaluation(task, found, 20)
    fields = json.loads(json.dumps(task_fields(task, found), allow_nan=False))
    assert fields["headline"]["is_collapsed"] is True
    assert fields["headline"]["value"] is None
    assert fields["headline"]["log_value"] == fields["metrics"][0]["log_value"] == log_value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_share_does_not_collapse(value):
    found = evaluation(MetricValue("t", "acc", "none", value, None, 20))
    with pytest.raises(MeasurementError, match=f"task facts: acc is {value}; "):
        check_evaluation(STUDY.tasks["facts"], found, 20)


def test_infinite_log_likelihoods_are_text_in_samples_and_in_lm_evals_files():
    shared = dict.fromkeys(("doc_id", "filter", "target", "doc_hash", "prompt_hash", "target_hash"))
    sample = shared | {"metrics": ["word_perplexity"], "word_perplexity": (-math.inf, 98)}
    sample |= {"filtered_resps": [(np.float64(-math.inf), False)]}
    kept = compact("t", sample)
    assert kept["word_perplexity"] == ["-inf", 98]
    assert kept["answers"] == [["-inf", False]]
    written = json.dumps(json_value({"t": {"word_perplexity,none": exp(LOG_1E400)}, "s": [sample]}), allow_nan=False)
    assert json.loads(written)["t"] == {"word_perplexity,none": "inf"}
