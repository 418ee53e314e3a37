import shutil
from pathlib import Path

import pytest

from glu_lib.analysis import conclude, conclude_published
from glu_lib.analysis.remembered import FILE
from glu_lib.analysis.trends import Sensitivity

NANO = Path(__file__).resolve().parents[3] / "results/measured/nano"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("conclusions") / "nano"
    shutil.copytree(NANO, target)
    return target


@pytest.fixture(scope="module")
def found(folder):
    return conclude(folder, remember=True)


def row(found, case):
    return next(row for row in found.rows if row["case"] == case and row["is_headline"])


def test_each_headline_change_has_its_interval_test_and_p(found):
    facts = row(found, "nano-p40-facts")
    assert facts["delta_low"] < facts["delta"] < facts["delta_high"] < 0
    assert (facts["test"], facts["pairs"], facts["is_blind"]) == ("exact McNemar", 500, False)
    assert 0 < facts["p"] <= facts["p_holm"] < 0.05
    assert row(found, "nano-p40-narrative")["test"] == "paired bootstrap"
    assert row(found, "nano-p10-facts")["p_holm"] == 1.0  # 0.998 against 0.996
    assert row(found, "nano-p0-facts")["p"] is None


def test_other_metrics_than_the_headline_have_none(found):
    others = [row for row in found.rows if not row["is_headline"]]
    assert others
    assert all(row["p"] is None and row["delta_low"] is None for row in others)


def test_the_published_tables_go_through_the_same_functions():
    published = conclude_published()
    assert {trend.model for trend in published.trends} == {"llama1b", "llama3b", "instruct1b"}
    assert {trend.source for trend in published.trends} == {"levels"}
    kinds = {(trend.model, trend.task): trend.kind for trend in published.trends}
    assert kinds["llama3b", "gsm8k"] is Sensitivity.FRAGILE
    # No skill to lose, and so no kind: unpruned they are not better than blind.
    assert {task for model, task in kinds if model == "llama1b"}.isdisjoint(
        {"truthfulqa_mc1", "truthfulqa_mc2", "ifeval", "boolq"}
    )
    assert kinds["instruct1b", "mmlu"] is Sensitivity.FRAGILE
    assert not published.beside  # a table beside itself says nothing
    assert not published.problems


def test_claims_are_made_of_ppm_with_plain_widths(found):
    assert {trend.kind for trend in found.trends if trend.method == "PPM"} == {Sensitivity.FRAGILE}
    assert {curve.model for curve in found.curves} == {"nano"}
    assert [level.level for level in found.trade_offs] == [0, 10, 20, 30, 40, 50, 60]
    assert len(found.correlations) == 7 * 6 // 2


def test_correct_answers_get_dearer_as_they_get_fewer(found):
    sums = {row.level: row for row in found.correct_answers if row.task == "sums" and row.method in (None, "PPM")}
    assert (sums[0].correct, sums[60].correct) == (500.0, pytest.approx(21.0))
    assert sums[60].energy_per_correct_j == pytest.approx(sums[60].energy_j / 21)
    assert "narrative" not in {row.task for row in found.correct_answers}


def test_what_was_computed_before_is_taken_over_until_a_record_changes(folder, found, monkeypatch):
    assert (folder / FILE).is_file()
    computed = []
    import glu_lib.analysis.degradation as module

    compute = module._degradation_of
    monkeypatch.setattr(
        module, "_degradation_of", lambda group, *rest: computed.append(group[0]["subject"]) or compute(group, *rest)
    )
    again = conclude(folder)
    assert not computed
    assert again == found
    path = folder / "individual_files/nano/p40/nano-p40-sums.json"
    path.write_text(path.read_text() + " ")
    assert conclude(folder).rows == found.rows
    assert computed == ["sums"]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """The facts of two levels, and what they say."""
    target = tmp_path_factory.mktemp("facts")
    for part in ("individual_files", "samples"):
        for level in ("p0", "p40"):
            (target / part / "nano" / level).mkdir(parents=True)
            for path in (NANO / part / "nano" / level).glob("nano-*-facts.*"):
                shutil.copy(path, target / part / "nano" / level)
    return target, conclude(target, remember=True)


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', "\0"])
def test_a_torn_memory_is_forgotten(facts, text):
    folder, found = facts
    assert found.rows[-1]["skill"] is not None
    (folder / FILE).write_text(text)
    assert conclude(folder) == found


def test_samples_that_are_gone_or_torn_are_named_and_cost_their_tests_only(tmp_path):
    target = tmp_path / "nano"
    shutil.copytree(NANO, target)
    (target / "samples/nano/p0/nano-p0-facts.jsonl.gz").unlink()
    (target / "samples/nano/p40/nano-p40-sums.jsonl.gz").write_bytes(b"torn")
    (target / "individual_files/nano/p0/nano-p0-truth.json").unlink()
    found = conclude(target)
    assert any("nano-p0-facts.jsonl.gz" in line for line in found.problems)
    assert any("nano-p40-sums.jsonl.gz" in line for line in found.problems)
    assert any(line == "nano-p40-truth: p0 of the same measurement is missing; run it" for line in found.untested)
    assert row(found, "nano-p40-facts")["p"] is None
    assert row(found, "nano-p50-sums")["p"] is not None
