"""Widths, expansion ratios and parameter counts of every declared model and level, without weights."""

import pytest


@pytest.mark.cases_of("architecture")
def test_architecture(case, run_case):
    """OptiPFair prunes the declared shape (on the meta device) to exactly the expected width and parameter count."""
    pruning = run_case(case)["pruning"]
    assert pruning["width"] == pruning["asked_width"]
    assert pruning["parameters"] == case.model.architecture.parameters(pruning["width"])
