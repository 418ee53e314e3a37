"""Checkpoints beside their baseline in tables, the page, findings, `glu table` and the end of a run."""

import dataclasses

import pytest
from recovered_model import with_recovered

from glu_lib.analysis import conclude, headline_tables
from glu_lib.frontends.cli.entry import main
from glu_lib.frontends.pytest_plugin.tables import _table_lines
from glu_lib.report import markdown_table, report_data, terminal_lines
from glu_lib.report.findings import findings
from glu_lib.report.page import render_page
from glu_lib.report.recovered import recovered_listing, recovered_sentences
from glu_lib.report.wide import wide_table
from glu_lib.study import STUDY
from glu_lib.study.items import ItemChoice

TASKS = ("facts", "lastword")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """nano at p0, p40 and p60; the checkpoint `small` has p40's widths and the answers of p20."""
    return with_recovered(tmp_path_factory.mktemp("recovered"), TASKS, ("p0", "p40", "p60"), scores="p20")


@pytest.fixture(scope="module")
def found(root):
    return conclude(root, remember=True)


@pytest.fixture(scope="module")
def tables(found):
    return {table.model: table for table in headline_tables(found.rows)}


def test_the_table_of_the_baseline_has_a_row_for_the_checkpoint(tables):
    lines = markdown_table(tables["nano"]).splitlines()
    (score, skill) = [line for line in lines if line.startswith("| small |")]
    assert score == "| small | 2.4x | 0.994 (0 %) | 0.802 (−2 %) |"
    assert skill.startswith("| small | 2.4x | 1.00 (")
    place = lines.index(score)
    assert lines[place - 1].startswith("| p60 |")
    assert lines[place + 1].startswith("| blind |")
    assert (
        "Checkpoints, changes against p0 of this model, Holm's correction over each one's own comparisons: small "
        "(widths of p40)."
    ) in lines


def test_its_own_table_shows_no_change(tables):
    text = markdown_table(tables["small"])
    assert "| p0 | 2.4x | 0.994 | 0.802 |" in text
    assert "*" not in text
    assert tables["small"].checkpoints == {}


def test_terminal_and_page_have_it_too(tables):
    assert any(line.startswith("small 2.4x: facts 0.994 (0 %)") for line in terminal_lines(tables["nano"], 100))
    shown = wide_table(tables["nano"])
    assert [row.level for row in shown.rows] == ["p0", "p40", "p60", "small", "at p0"]
    assert shown.rows[3].cells[1].change == "−2 %"
    assert "items)" in shown.rows[3].cells[1].detail
    assert [row.level for row in shown.skills.rows] == ["p40", "p60", "small"]


def test_the_listing_has_scores_test_and_share(found):
    shown = {(row[0], row[4]): row for row in recovered_listing(found.recovered).rows}
    assert set(shown) == {(task, f"nano {level}") for task in TASKS for level in ("p0", "p40")}
    beside = shown["lastword", "nano p40"]
    assert beside[:4] == ("lastword", "acc", "small", "0.802")
    assert beside[6].startswith("0.12 (0.0")
    assert beside[8] == "better"
    assert beside[9].startswith("0.8")
    assert shown["lastword", "nano p0"][9:] == (None, None)


def test_a_reason_stands_in_place_of_a_share(found):
    item = dataclasses.replace(found.recovered[1], share=None, share_low=None, share_high=None, share_reason="why")
    assert recovered_listing([item]).rows[0][-2:] == (None, "why")
    assert not any("has again" in text for _, text in recovered_sentences([item]))


def test_sentences_name_differences_and_shares(found):
    told = [text for model, text in recovered_sentences(found.recovered) if model == "small"]
    assert told[1].startswith("small beside nano p40, pruned to the same widths: better in facts and lastword, on the ")
    assert told[2].startswith("Of the skill lost at nano p40, small has again from ")
    assert told[2].endswith(", with a 95 % interval above 0 in 2 of 2 tasks; 100 % is p0.")
    (one,) = [text for _, text in recovered_sentences([found.recovered[1]]) if "again" in text]
    assert "(95 %: " in one


def test_page_and_findings_hold_them(found):
    data = report_data(found, STUDY)
    page = render_page(data, figures=[])
    assert "Checkpoints beside their baseline" in page
    assert "pruned to the same widths" in page
    assert any("has again" in item.text for item in findings(data, headline_tables(data.rows)))


def test_a_missing_level_is_told_everywhere(tmp_path, capsys):
    root = with_recovered(tmp_path, TASKS, ("p0",), scores="p20")
    found = conclude(root)
    command = 'pytest -k "nano and p40 and (facts or lastword)"'
    assert command in render_page(report_data(found, STUDY), figures=[]).replace("&#34;", '"')
    assert main(["table", str(root)]) == 0
    assert command in capsys.readouterr().out


def test_glu_table_prints_the_listing(root, capsys):
    assert main(["table", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "**Checkpoints beside their baseline, same items" in printed
    assert "| lastword | acc | small | 0.802 | nano p40 |" in printed


def test_the_end_of_a_run_of_the_checkpoint_shows_the_baselines_table(found):
    lines = list(_table_lines(found, {"small-p0-facts"}, ItemChoice(), 100, with_workloads=False))
    assert any(line.startswith("nano: headline metric per level") for line in lines)
    assert any("has again" in line for line in lines)
    others = list(_table_lines(found, {"other-p0-facts"}, ItemChoice(), 100, with_workloads=False))
    assert others == []


def test_a_folder_without_checkpoints_has_none_of_it(tmp_path):
    root = with_recovered(tmp_path, TASKS, ("p0", "p40"), scores="p20", changes={"case": {"baseline": None}})
    found = conclude(root)
    assert (found.recovered, found.not_beside) == ((), ())
    assert "Checkpoints beside their baseline" not in render_page(report_data(found, STUDY), figures=[])
