from collections import Counter

import pytest

from glu_lib.analysis.published.energy_tables import energy_rows
from glu_lib.analysis.published.restated import Defect, carbon_intensity, energy_restated
from glu_lib.errors import RecordError

_L4_W, _CPU_AND_RAM_W = 72, 62  # board power of an NVIDIA L4; what CodeCarbon gave CPU and RAM


def test_the_intensity_comes_from_the_table():
    assert carbon_intensity() == pytest.approx(0.349226, abs=5e-7)
    with pytest.raises(RecordError, match="energy_3b: its rows give no single carbon intensity; use energy_1b"):
        carbon_intensity("energy_3b")


def test_one_row_by_hand():
    found = next(
        row
        for row in energy_restated("energy_1b")
        if (row.percent, row.workload, row.seed) == (0, "hellaswag_latency_b1", 42)
    )
    assert (found.model, found.tokens) == ("llama1b", 475)
    assert found.published_energy_per_token_j == pytest.approx(0.252467, abs=1e-6)
    assert found.net_energy_per_token_j == pytest.approx(0.252467 / 0.349226, abs=1e-5)
    assert found.energy_per_token_j == pytest.approx(0.0004600046 * 3.6e6 / 475, rel=1e-6)  # codecarbon_total_kwh
    assert found.gpu_energy_per_token_j == pytest.approx(0.0002083202 * 3.6e6 / 475, rel=1e-6)
    assert found.defects == (Defect.CARBON, Defect.ESTIMATED_PARTS, Defect.WINDOW)
    assert not found.is_intensity_assumed


@pytest.mark.parametrize("table", ["energy_1b", "energy_3b"])
def test_published_joules_are_low_by_one_over_the_intensity(table):
    rows = energy_restated(table)
    assert len(rows) == 126
    ratios = [row.net_energy_per_token_j / row.published_energy_per_token_j for row in rows]
    assert ratios == pytest.approx([1 / 0.349226] * 126, rel=1e-5)


def test_defects_by_table_and_batch():
    padded = Counter(defect for row in energy_restated("energy_1b") for defect in row.defects)
    assert padded == {Defect.CARBON: 126, Defect.ESTIMATED_PARTS: 126, Defect.WINDOW: 126, Defect.PADDING: 63}
    for row in energy_restated("energy_3b"):
        assert row.is_intensity_assumed
        assert Defect.ASSUMED_INTENSITY in row.defects
        assert row.gpu_energy_per_token_j is None
        assert (Defect.PADDING in row.defects) == row.workload.endswith("_b8")


def test_the_assumed_intensity_makes_3b_possible():
    printed = [row["published_raw"] * 3.6e6 / row["window_s"] for row in energy_rows("energy_3b")]
    restated = [row.energy_per_token_j * row.tokens / row.window_s for row in energy_restated("energy_3b")]
    assert max(printed) < _CPU_AND_RAM_W
    assert min(restated) > _CPU_AND_RAM_W
    assert max(restated) < _CPU_AND_RAM_W + 1.1 * _L4_W  # counters may read a little above the board's limit
