"""lm-eval's own aggregations where a perplexity overflows."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from glu_lib.measure.accuracy.shortcuts import lm_eval_shortcuts


def aggregated(name, items):
    from lm_eval.api.registry import get_aggregation

    return get_aggregation(name)(items)


@pytest.mark.parametrize(
    ("name", "items"),
    [("perplexity", [-500.0, -1342.0]), ("weighted_perplexity", [(-5000.0, 10), (-4210.0, 0)])],
)
def test_lm_evals_perplexities_do_not_overflow_within_the_block(name, items):
    with lm_eval_shortcuts():
        found = aggregated(name, items)
        assert aggregated(name, [(-1.0, 1)] if name.startswith("weighted") else [-1.0]) == math.e
    assert found == math.inf
    assert found.exponent == 921.0
    with pytest.raises(OverflowError):
        aggregated(name, items)


@pytest.mark.parametrize("items", [[-math.inf, -2.0] * 20, [-1e300, -2.0] * 20, [-2000.0, -1000.0] * 20])
def test_the_standard_error_of_what_overflows_is_infinite(items):
    from lm_eval.api import metrics

    with lm_eval_shortcuts():
        assert metrics.stderr_for_metric(metrics.perplexity, 200)(items) == math.inf


def test_a_share_of_probability_is_one_where_all_answers_are_unlikely():
    """TruthfulQA mc2 of a collapsed level: exp of each log-likelihood is 0, and their share was 0 / 0."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks.truthfulqa.utils import process_results_mc2

    task = SimpleNamespace(config=SimpleNamespace(process_results=process_results_mc2))
    doc = {"mc2_targets": {"labels": [1, 0, 0]}}
    near, far = ([(shift + offset, False) for offset in (0.0, -1.0, -2.0)] for shift in (-3.0, -3000.0))
    with np.errstate(invalid="ignore"):
        assert math.isnan(ConfigurableTask.process_results(task, doc, far)["acc"])
    own = ConfigurableTask.process_results(task, doc, near)["acc"]
    with lm_eval_shortcuts():
        assert ConfigurableTask.process_results(task, doc, near)["acc"] == own
        assert ConfigurableTask.process_results(task, doc, far)["acc"] == pytest.approx(own)
