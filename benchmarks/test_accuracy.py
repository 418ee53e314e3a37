"""Accuracy and perplexity: one case per (model variant, level, task), scored by lm-eval."""

import pytest

from glu_lib.frontends.pytest_plugin.fixtures import RunCase
from glu_lib.measure.prepared import PreparedModel
from glu_lib.study.cases import Case


@pytest.mark.cases_of("accuracy")
def test_accuracy(case: Case, prepared: PreparedModel, run_case: RunCase) -> None:
    """The record has the width of its level and all samples; score and energy are valid, collapsed or missing."""
    record = run_case(case, prepared)
    headline, pruning, energy = record.score.headline, record.pruning, record.energy
    assert (headline.value is None) == headline.is_collapsed
    assert record.samples.count >= headline.count > 0
    assert pruning.width == pruning.asked_width
    assert energy.total_j is None or energy.total_j > 0
