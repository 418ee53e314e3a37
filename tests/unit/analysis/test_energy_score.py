import pytest
from made_records import made_record

from glu_lib.analysis.energy_score import ALL_PARTS, GPU_ONLY, energy_scores
from glu_lib.analysis.record_rows import rows_of

NVML = {"energy_j": 72.0, "source": "nvml", "quality": "measured", "reason": None}


def test_watt_hours_per_thousand_queries_follow_from_the_joules_of_a_response():
    record = made_record({}, "energy")
    found = dict(energy_scores(record))
    assert found[ALL_PARTS]["mean"] == pytest.approx(record.profile.energy_per_response_j.mean * 1000 / 3600)
    assert found[ALL_PARTS]["interval_high"] == pytest.approx(
        record.profile.energy_per_response_j.interval_high * 1000 / 3600
    )
    assert found[GPU_ONLY]["mean"] is None


def test_the_gpu_alone_is_what_ai_energy_score_counts():
    repeat = {"passes": 4, "rows": 5, "energy": {"gpu": NVML}}
    found = dict(energy_scores(made_record({"repeats": [repeat], "idle": None}, "energy")))
    assert found[GPU_ONLY]["mean"] == pytest.approx(1.0)  # 72 J / 20 responses = 3.6 J; a thousand of them are 1 Wh


def test_both_figures_are_rows_of_the_table():
    rows = {row["metric"]: row for row in rows_of(made_record({}, "energy"), "x.json", [])}
    assert rows[ALL_PARTS]["value"] == pytest.approx(rows["energy_per_response_j"]["value"] / 3.6)
    assert rows[ALL_PARTS]["higher_is_better"] is False
    assert rows[GPU_ONLY]["value"] is None
    assert not rows[ALL_PARTS]["is_headline"]
