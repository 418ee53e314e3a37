"""Widths, expansion ratios and parameter counts of every declared model and level, without weights."""

import pytest

from glu_lib.frontends.pytest_plugin.fixtures import RunCase
from glu_lib.study.cases import Case


@pytest.mark.cases_of("architecture")
def test_architecture(case: Case, run_case: RunCase) -> None:
    """OptiPFair prunes the declared shape (on the meta device) to exactly the expected width and parameter count."""
    assert case.model.architecture is not None
    pruning = run_case(case).pruning
    assert pruning.width == pruning.asked_width
    assert pruning.parameters == case.model.architecture.parameters(pruning.width)
