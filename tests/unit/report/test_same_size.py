"""One size, several models, in the report: tables, figures, sentences and `glu table`."""

import dataclasses

import numpy as np
import pytest
from committed import concluded
from full_report import own_llamas
from two_models import two_models

from glu_lib.analysis import conclude, headline_tables
from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.model_sizes import model_sizes
from glu_lib.frontends.cli.entry import main
from glu_lib.report import report_data
from glu_lib.report.figures.size_scores import size_score_figures
from glu_lib.report.findings import findings
from glu_lib.report.page import render_page
from glu_lib.report.same_size import same_size_listing, same_size_sentences, size_score_listing
from glu_lib.study import STUDY


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """nano at p0, p40 and p60, and its p50 as the unpruned model `small`."""
    return two_models(tmp_path_factory.mktemp("two"), ("facts", "narrative"), ("p0", "p40", "p60"), small="p50")


@pytest.fixture(scope="module")
def two(root):
    return conclude(root, remember=True)


def energy_row(model, percent, joules, **changed):
    return dict.fromkeys(COLUMNS) | {
        "kind": "energy",
        "metric": "energy_per_token_j",
        "model": model,
        "percent": percent,
        "method": "PPM" if percent else None,
        "weights": "real",
        "subject": "decode",
        "device": "GPU",
        "value": joules,
        **changed,
    }


def test_each_score_stands_with_parameters_bytes_blind_score_and_skill(two):
    found = size_score_listing(model_sizes(two.rows))
    assert [row[:4] for row in found.rows[:4]] == [
        ("facts", "acc", "nano", "p0"),
        ("facts", "acc", "nano", "p40"),
        ("facts", "acc", "nano", "p60"),
        ("facts", "acc", "small", "p0"),
    ]
    parameters, weights, joules, score, blind, skill = found.rows[1][4:]
    assert (parameters, weights, joules) == ("742 k", "2.97 MB", "–")
    (row,) = [row for row in two.rows if row["case"] == "nano-p40-facts" and row["is_headline"]]
    assert (score, blind, skill) == (f"{row['value']:.3f}", f"{row['blind']:.3f}", f"{row['skill']:.2f}")


def test_joules_are_of_one_workload_that_two_models_have(two):
    energies = [
        energy_row("nano", 40, 0.5),
        energy_row("small", 0, 0.25),
        energy_row("nano", 0, 9.0, subject="prefill"),
        energy_row("nano", 60, 7.0, device="other GPU"),
        energy_row("nano", 60, 6.0, weights="random"),
    ]
    (facts, _) = model_sizes([*two.rows, *energies])
    assert facts.workload == "decode on GPU"
    known = {(item.row["model"], item.row["percent"]): item.energy_per_token_j for item in facts.scores}
    assert known == {("nano", 0): None, ("nano", 40): 0.5, ("nano", 60): None, ("small", 0): 0.25}
    assert [figure.id for figure in size_score_figures([facts])] == ["size-parameters", "size-energy-per-token-j"]
    assert model_sizes([*two.rows, energies[0]])[0].workload == ""


def test_the_comparisons_say_which_is_better_and_what_was_refused(two):
    found = same_size_listing(two.same_size)
    shown = {(row[0], row[2]): (row[5], row[-1]) for row in found.rows}
    assert shown["facts", "nano p60"] == ("small p0", "worse")
    assert shown["narrative", "nano p40"] == ("small p0", "better")
    refused = dataclasses.replace(two.same_size[0], p_holm=None, delta=None, reason="few-shot differs")
    assert same_size_listing([refused]).rows[0][-1] == "few-shot differs"


def test_a_sentence_only_where_a_difference_is_significant(two):
    told = dict(same_size_sentences([item for item in two.same_size if item.percent == 60]))
    assert told == {
        "nano": "nano p60 (583 k parameters) beside small p0 (662 k): worse in facts and narrative, on the same items "
        "and after Holm's correction."
    }
    by_chance = [dataclasses.replace(item, p_holm=0.05) for item in two.same_size]
    assert list(same_size_sentences(by_chance)) == []


def test_a_figure_has_a_panel_for_each_task_and_a_curve_for_each_model(two):
    (figure,) = size_score_figures(model_sizes(two.rows))  # one dtype: bytes would draw the same curves
    assert {row[0] for row in figure.rows} == {"facts (acc ↑)", "narrative (log word_perplexity ↓)"}
    assert {row[1] for row in figure.rows} == {"nano", "small"}
    (values,) = (data for data in figure.spec["datasets"].values() if "line" in data[0])
    lines = {point["panel"]: point["line"] for point in values}
    blinds = [point["blind"] for point in values if point["panel"] == "narrative (log word_perplexity ↓)"]
    assert lines["narrative (log word_perplexity ↓)"] == pytest.approx(np.log(min(blinds)), rel=1e-5)  # six digits


def test_bytes_are_drawn_where_models_differ_in_dtype(two):
    rows = [row | ({"weights_bytes": row["parameters"] * 2} if row["model"] == "small" else {}) for row in two.rows]
    ids = [figure.id for figure in size_score_figures(model_sizes(rows))]
    assert ids == ["size-parameters", "size-weights-bytes"]


def test_page_and_findings_hold_them(two):
    data = report_data(two, STUDY)
    page = render_page(data)
    assert "One size, several models" in page
    assert "nano p60 (583 k parameters) beside small p0" in page
    assert any("beside small p0" in found.text for found in findings(data, headline_tables(data.rows)))


def test_a_folder_of_one_model_has_none_of_it():
    found = concluded("nano")
    assert (found.same_size, model_sizes(found.rows)) == ((), [])
    assert "One size, several models" not in render_page(report_data(found, STUDY), figures=[])


def test_scores_without_samples_have_figures_and_no_tests():
    (sizes, *_) = size_score_figures(model_sizes(own_llamas()))
    assert {row[1] for row in sizes.rows} == {"llama1b", "llama3b"}


def test_glu_table_prints_both_tables(root, capsys):
    assert main(["table", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "**All models over size, same items in each task" in printed
    assert "| facts | acc | nano p60 | 583 k |" in printed
