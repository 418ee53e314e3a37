"""Layer scans: what pruning each layer costs in perplexity; runs only with `-m layers`."""

import pytest

from glu_lib.frontends.pytest_plugin.fixtures import RunCase
from glu_lib.measure.prepared import PreparedModel
from glu_lib.study.cases import Case


@pytest.mark.cases_of("layers")
def test_layers(case: Case, prepared: PreparedModel, run_case: RunCase) -> None:
    """Every layer was measured alone and left out, and the recommended layers were measured together."""
    scan = run_case(case, prepared).scan
    assert len(scan.alone) == len(scan.all_but) == len(prepared.pruning.widths)
    assert any(step.spared == scan.spared for step in scan.steps)
