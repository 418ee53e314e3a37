"""Each model below gets the verdict that is true: one that guesses, one that prints a full stop, one that is better."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from glu_lib.analysis import conclude, headline_tables
from glu_lib.analysis.efficiency import correct_answers
from glu_lib.analysis.skill import Blind, Skill
from glu_lib.analysis.skill import untested as not_tested
from glu_lib.report import markdown_table, number, report_data, terminal_lines
from glu_lib.report.figures import figures_of
from glu_lib.report.figures.change_points import score_change
from glu_lib.report.findings import findings
from glu_lib.report.listings import answers_listing
from glu_lib.report.page import render_page
from glu_lib.report.skill_findings import rises
from glu_lib.report.skills import Kept, kept_of, skill_notes
from glu_lib.report.wide import wide_table
from glu_lib.results.address import RecordId
from glu_lib.results.records import Samples
from glu_lib.results.store import Store
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = Path(__file__).parents[3] / "results/measured/nano"
ITEMS = 500
SHUFFLES = 20


def drawn(share, seed):
    """Items that are right with probability `share`."""
    return (np.random.default_rng(seed).random(ITEMS) < share).astype(float)


LONGEST, FULL_STOP = drawn(0.4, 100), drawn(0.15, 101)
OPTIONS = {"uniform": np.full(ITEMS, 0.25), "longest": LONGEST}
TEXTS = {"nothing": np.zeros(ITEMS), "full stop": FULL_STOP}


def write(root, task, levels, controls):
    """Records and samples of the embedded model with other answers: `levels` maps a percentage to the items' values."""
    for folder in ("individual_files", "samples"):
        (root / folder).mkdir(exist_ok=True)
    for percent, values in levels.items():
        case = Case(STUDY.models["nano"], Pruning(percent), STUDY.tasks[task])
        record = json.loads(Store(NANO).record_path(RecordId(case)).read_text())
        headline = record["score"]["headline"]
        samples = [
            {key: value for key, value in sample.items() if key != "answers"}
            | {headline["metric"]: float(value), "controls": blind}
            for sample, value, blind in zip(
                Store(NANO).read_samples(Samples.model_validate(record["samples"]))[: len(values)],
                values,
                by_item(controls, percent)[: len(values)],
                strict=True,
            )
        ]
        headline["count"] = record["score"]["metrics"][0]["count"] = len(values)
        headline["value"] = record["score"]["metrics"][0]["value"] = float(np.mean(values))
        Store(root).write(RecordId(case), record, samples)


def by_item(controls, percent):
    """The controls of each item; with a full stop among them also shuffled answers, which are right at random."""
    found = {name: values.tolist() for name, values in controls.items()}
    if "full stop" in controls:
        versions = [drawn(0.02 + percent / 1000, percent + seed) for seed in range(SHUFFLES)]
        found["shuffle"] = np.transpose(versions).tolist()
    return [{name: values[place] for name, values in found.items()} for place in range(ITEMS)]


def told(root):
    """The findings' texts, and the headline table."""
    found = conclude(root)
    (table,) = headline_tables(found.rows)
    return [finding.text for finding in findings(report_data(found, STUDY), [table])], table


def test_a_model_that_answers_at_random_has_next_to_nothing_left(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.9, 1), 20: drawn(0.85, 2), 40: drawn(0.25, 3)}, OPTIONS)
    texts, table = told(tmp_path)
    assert re.fullmatch(
        r"At 2\.4x \(p40, −30 % parameters\) next to nothing is left of facts: it keeps −\d+ % of its skill "
        r"\(95 %: −\d+ % to −\d+ %\); 0 % is blind\.",
        texts[0],
    )
    assert texts[1].startswith("The score of facts changes by −7")
    assert "Not shown to be better than blind: facts (p40)." in texts
    assert table.cells["facts", 40]["is_blind"] is True
    assert table.cells["facts", 20]["is_blind"] is False


def test_one_that_takes_the_longest_option_rises_towards_blind(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.25, 1), 20: drawn(0.3, 2), 40: LONGEST}, OPTIONS)
    texts, table = told(tmp_path)
    before, after = table.cells["facts", 0]["value"], table.cells["facts", 40]["value"]
    assert texts[0] == (
        "At 2.4x (p40, −30 % parameters) no skill is shown: unpruned, facts is not shown to be better than blind."
    )
    rise = (
        f"facts rises from {before:.3f} to {after:.3f} (p40): a rise towards blind, no improvement; blind answers get "
        f"{LONGEST.mean():.3f} (longest)."
    )
    assert rise in texts
    assert "No skill shown, because p0 is not shown to be better than blind: facts." in texts
    assert "Not shown to be better than blind: facts (all levels)." in texts
    assert not any(text.startswith(("Improving", "Robust", "Fragile", "Best")) for text in texts)


def test_one_that_prints_a_full_stop_rises_towards_blind(tmp_path):
    write(tmp_path, "instructions", {0: drawn(0.1, 1), 20: drawn(0.09, 2), 40: FULL_STOP}, TEXTS)
    texts, _ = told(tmp_path)
    (rise,) = [text for text in texts if "rises" in text]
    assert rise.endswith(f"towards blind, no improvement; blind answers get {FULL_STOP.mean():.3f} (full stop).")
    assert not any(text.startswith("Improving") for text in texts)


def test_a_rise_towards_blind_has_no_colour_of_a_better_score(tmp_path):
    write(tmp_path, "instructions", {0: drawn(0.1, 1), 40: FULL_STOP}, TEXTS)
    write(tmp_path, "facts", {0: drawn(0.5, 1), 40: drawn(0.8, 2)}, OPTIONS)
    _, table = told(tmp_path)
    facts, instructions = wide_table(table).rows[1].cells
    assert facts.tint > 0
    assert (instructions.is_blind, instructions.tint) == (True, 0)
    assert instructions.change.startswith("+")


def test_one_that_is_truly_better_has_risen_above_blind(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.25, 1), 20: drawn(0.3, 2), 40: drawn(0.8, 3)}, OPTIONS)
    texts, _ = told(tmp_path)
    (rise,) = [text for text in texts if "rises" in text]
    assert re.search(
        r"\(p40\): better than blind \(p = [0-9e.-]+, not corrected\), blind answers get 0\.\d+ \(longest\)\.$", rise
    )
    assert "towards" not in rise


def test_one_that_knew_much_and_knows_more_improves(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.6, 1), 20: drawn(0.75, 2), 40: drawn(0.9, 3)}, OPTIONS)
    texts, table = told(tmp_path)
    assert table.cells["facts", 40]["skill"] > 1.5
    assert f"facts keeps {number.share(table.cells['facts', 40]['skill'])} of its skill" in texts[0]
    assert "Improving: facts." in texts
    assert not any("blind: facts" in text or "rises" in text for text in texts)


def test_a_rise_beyond_blind_that_may_be_chance_is_no_improvement(tmp_path):
    slightly = LONGEST.copy()
    slightly[np.flatnonzero(LONGEST == 0)[:2]] = 1
    write(tmp_path, "facts", {0: drawn(0.25, 1), 40: slightly}, OPTIONS)
    texts, _ = told(tmp_path)
    (rise,) = [text for text in texts if "rises" in text]
    assert "no improvement, because it is not significantly better than blind" in rise


def data_of(figure):
    """All values that a figure draws."""
    return [point for values in figure.spec["datasets"].values() for point in values]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three tasks: one falls, one was never better than blind, one falls a little."""
    root = tmp_path_factory.mktemp("three")
    write(root, "facts", {0: drawn(0.9, 1), 20: drawn(0.7, 2), 40: drawn(0.55, 3)}, OPTIONS)
    write(root, "truth", {0: drawn(0.3, 4), 20: drawn(0.32, 5), 40: LONGEST}, OPTIONS)
    write(root, "instructions", {0: drawn(0.8, 6), 20: drawn(0.79, 7), 40: drawn(0.5, 8)}, TEXTS)
    return root


@pytest.fixture(scope="module")
def found(folder):
    return conclude(folder)


@pytest.fixture(scope="module")
def table(found):
    return headline_tables(found.rows)[0]


def test_the_first_sentence_is_the_mean_over_tasks_with_skill_and_names_the_extremes(found, table):
    texts = [finding.text for finding in findings(report_data(found, STUDY), [table])]
    facts, instructions = (table.cells[task, 40]["skill"] for task in ("facts", "instructions"))
    assert facts < instructions
    assert texts[0] == (
        f"At 2.4x (p40, −30 % parameters) 2 tasks keep {number.share((facts + instructions) / 2)} of their skill on "
        f"average: from facts ({number.share(facts)}) to instructions ({number.share(instructions)}); 0 % is blind."
    )
    assert texts[1].startswith("Scores, which hold what blind answers get: 3 tasks keep ")


def test_what_could_have_been_seen_stands_beside_what_is_not_significant(found, table):
    unsure = table.cells["instructions", 40] | {"p_holm": 0.4, "detectable": 0.08, "baseline": 0.8}
    more = table.cells["facts", 40] | {"p_holm": 0.3, "detectable": 0.18, "baseline": 0.9}
    cells = table.cells | {("instructions", 40): unsure, ("facts", 40): more}
    texts = [
        finding.text
        for finding in findings(report_data(found, STUDY), [dataclasses.replace(table, cells=cells)])
        if "smallest" in finding.text
    ]
    assert len(texts) == 1
    assert texts[0].endswith(
        " The smallest change that the other 2 would have shown with a probability of 80 %, even without the "
        "correction: 10 % (instructions) to 20 % (facts) of the unpruned score."
    )


def test_markdown_has_a_blind_row_and_a_table_of_skills(table):
    text = markdown_table(table)
    lines = text.splitlines()
    longest = f"{LONGEST.mean():.3f}"
    assert lines[5] == f"| blind | – | {longest} | {FULL_STOP.mean():.3f} | {longest} |"
    assert "\nBest blind answer: longest (facts, truth); full stop (instructions).\n" in text
    row = table.cells["facts", 40]
    shown = f"{row['skill']:.2f} ({row['skill_low']:.2f} … {row['skill_high']:.2f})"
    assert re.search(rf"^\| p40 \| 2\.4x \| {re.escape(shown)} \| 0\.\d\d \(0\.\d\d … 0\.\d\d\) \| – \|$", text, re.M)
    assert "\nNo skill shown, since p0 is not shown to be better than blind: truth.\n" in text


def test_blind_scores_that_depend_on_the_level_are_named_with_their_range(table):
    cells = table.cells | {
        ("instructions", 40): table.cells["instructions", 40] | {"blind": 0.21, "blind_control": "shuffle"}
    }
    text = markdown_table(dataclasses.replace(table, cells=cells))
    assert (
        f"\nBlind scores that differ from level to level: instructions {FULL_STOP.mean():.3f} to 0.210 "
        "(full stop, shuffle).\n"
    ) in text
    assert "differ from level to level" not in markdown_table(table)


def test_the_name_of_a_blind_answer_is_one_line_of_text(table):
    row = table.cells["facts", 0] | {"blind_control": "x\n\x1b[2J|y"}
    hostile = dataclasses.replace(table, cells=table.cells | {("facts", 0): row})
    assert r"x\n\x1b[2J|y (facts)" in " ".join(terminal_lines(hostile, 200))
    assert "x&#92;n&#92;x1b&#91;2J&#124;y (facts)" in markdown_table(hostile)


def test_the_terminal_shows_both_within_80_columns(table):
    lines = terminal_lines(table, 80)
    assert max(map(len, lines)) <= 80
    assert sum(line.split() == ["(blind)", "3.2x", "2.4x"] for line in lines) == 1
    assert any(f"({LONGEST.mean():.3f})" in line for line in lines)
    assert any(re.search(r"0\.\d\d … 0\.\d\d +0\.\d\d … 0\.\d\d$", line) for line in lines)


def test_seven_levels_with_long_names_stay_within_80_columns(table):
    levels = tuple((percent, 4.0 - percent / 25) for percent in range(0, 70, 10))
    wide = table.cells["facts", 40] | {"skill": -0.12, "skill_low": -0.31, "skill_high": 0.94, "metric": "acc_norm"}
    cells = {("truthfulqa_mc2", percent): wide | {"percent": percent} for percent, _ in levels}
    many = dataclasses.replace(table, levels=levels, tasks=("truthfulqa_mc2",), cells=cells)
    lines = terminal_lines(many, 80)
    assert max(map(len, lines)) <= 80
    assert sum(line.count("−0.31 …") == 6 for line in lines) == 1


def test_the_page_shows_blind_skills_and_the_figure_of_skills_first(found):
    data = report_data(found, STUDY)
    page = render_page(data)
    shown = wide_table(headline_tables(found.rows)[0])
    assert (shown.rows[-1].ratio, shown.rows[-1].level) == ("blind", "at p0")
    assert shown.rows[-1].cells[0].detail == "best blind answer: longest"
    assert [row.ratio for row in shown.skills.rows] == ["3.2x", "2.4x"]
    assert shown.skills.rows[-1].cells[-1].score == "–"
    assert shown.skills.title in page
    assert "<dt>Skill</dt>" in page
    figures = figures_of(data)
    assert [figure.id for figure in figures[:2]] == ["skill-nano-ppm", "change-nano-ppm"]
    assert page.index('<figure id="skill-nano-ppm"') < page.index('<figure id="change-nano-ppm"')


def test_the_figure_of_skills_has_lines_at_blind_and_unpruned_and_names_what_it_leaves_out(found):
    figure = figures_of(report_data(found, STUDY))[0]
    labels = {(point.get("skill"), point["label"]) for point in data_of(figure) if "label" in point}
    assert labels == {(0, "blind"), (1, "unpruned")}
    assert {row[0] for row in figure.rows} == {"facts", "instructions"}
    assert figure.caption.endswith("Not drawn, because unpruned they are not shown to be better than blind: truth.")


def test_claims_speak_of_skill_where_it_is_known(found):
    by_id = {figure.id: figure for figure in figures_of(report_data(found, STUDY))}
    assert by_id["kinds-nano"].title == "nano: mean skill by kind of task"
    assert by_id["slopes-nano-ppm"].caption.startswith("Change of the skill per")
    assert by_id["trade-off-nano-parameters"].title == "nano: skill against parameters"


def test_the_figure_of_changes_marks_where_blind_is(found, table):
    figure = next(figure for figure in figures_of(report_data(found, STUDY)) if figure.id == "change-nano-ppm")
    places = {point["task"]: point["change"] for point in data_of(figure) if "blind" in point}
    row = table.cells["facts", 0]
    assert places["facts"] == pytest.approx(100 * (row["blind"] / row["value"] - 1), rel=1e-4)
    assert places["truth"] > 0  # blind answers get more
    assert score_change(table.cells["truth", 40]) == pytest.approx(places["truth"], rel=1e-3)
    assert "Marks at the right edge: the blind scores at p0." in figure.caption


def test_answers_above_blind_cost_more_and_none_has_no_price(found):
    rows = [row | {"energy_j": 50.0} for row in found.rows]
    answers = {(item.task, item.level): item for item in correct_answers(rows)}
    facts = answers["facts", 0]
    above = ITEMS * (facts.correct / ITEMS - LONGEST.mean())
    assert facts.above_blind == pytest.approx(above)
    assert facts.energy_per_answer_above_blind_j == pytest.approx(50.0 / above)
    assert facts.energy_per_answer_above_blind_j > facts.energy_per_correct_j
    assert answers["truth", 40].energy_per_correct_j == pytest.approx(50.0 / LONGEST.sum())
    assert answers["truth", 40].energy_per_answer_above_blind_j is None
    assert "joules per answer above blind" in answers_listing(list(answers.values())).columns


def test_prices_of_answers_name_the_layers_the_method_and_the_limit(found):
    row = next(row for row in found.rows if row["subject"] == "facts" and row["percent"] == 40 and row["is_headline"])
    rows = [row, row | {"layers": "1-28"}, row | {"method": "random2"}, row | {"limit": 50, "subset": "spread"}]
    levels = [cells[1] for cells in answers_listing(correct_answers(rows)).rows]
    assert levels == ["p40", "p40, layers 1-28", "p40, random2", "p40, limit 50 spread"]


def test_without_a_test_a_score_at_or_below_blind_is_blind(tmp_path):
    two_of_five = {"longest": np.arange(ITEMS) % 5 < 2}
    write(tmp_path, "facts", {0: np.ones(10), 20: np.repeat([1.0, 0.0], [4, 6]), 40: np.zeros(10)}, two_of_five)
    rows = {row["percent"]: row for row in conclude(tmp_path).rows if row["is_headline"]}
    assert {percent: row["p_blind"] for percent, row in rows.items()} == dict.fromkeys(rows)
    assert {percent: row["is_blind"] for percent, row in rows.items()} == {0: None, 20: True, 40: True}


@pytest.mark.parametrize(
    ("value", "higher_is_better", "is_blind"),
    [
        *((9.0, False, None), (10.0, False, True), (11.0, False, True), (None, False, True)),
        *((0.5, True, True), (10.0, True, True), (10.5, True, None)),
    ],
)
def test_a_perplexity_above_blind_or_collapsed_is_blind_without_a_test(value, higher_is_better, is_blind):
    blind = Blind("unigram", 10.0, np.zeros((1, 1)), p95=11.0)
    found = not_tested(value, blind, higher_is_better=higher_is_better)
    assert found == Skill(10.0, "unigram", is_blind=is_blind, p95=11.0)


def test_what_is_above_blind_and_not_tested_is_in_a_note(tmp_path):
    few = np.repeat([1.0, 0.0], [6, 4])
    write(tmp_path, "facts", {0: np.zeros(10), 20: few, 40: np.zeros(10)}, {"longest": np.arange(ITEMS) % 5 < 2})
    texts, table = told(tmp_path)
    assert "above blind, but with fewer than 20 items not tested: facts p20" in skill_notes(table)
    assert "Not shown to be better than blind: facts (p0, p40)." in texts
    assert any(text.endswith("above blind, not tested, blind answers get 0.400 (longest).") for text in texts)


def test_records_without_controls_look_as_before(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.9, 1), 20: drawn(0.8, 2), 40: drawn(0.6, 3)}, {})
    found = conclude(tmp_path)
    (table,) = headline_tables(found.rows)
    shown = wide_table(table)
    assert shown.skills is None
    assert shown.rows[-1].level == "p40"
    assert "blind" not in markdown_table(table)
    assert not any("blind" in line or "skill" in line for line in terminal_lines(table, 80))
    data = report_data(found, STUDY)
    # The published models, which stand in the same data, have blind scores.
    figures = [figure for figure in figures_of(data) if "nano" in figure.id]
    assert not any(figure.id.startswith("skill") for figure in figures)
    assert not any("blind" in figure.caption or "kill" in figure.caption for figure in figures)
    assert "joules per answer above blind" not in answers_listing(data.correct_answers).columns


def untested(percent, value, blind=0.483, **changes):
    """A row of a table without items: nothing is tested."""
    names = ("skill", "skill_low", "skill_high", "p_blind", "is_blind", "p_holm", "delta", "parameters", "stderr")
    return dict.fromkeys(names) | {
        "kind": "accuracy",
        "is_headline": True,
        "model": "llama1b",
        "method": "PPM" if percent else None,
        "divisor": None,
        "layers": None,
        "limit": None,
        "percent": percent,
        "expansion_ratio": 4.0 - percent / 25,
        "subject": "truthfulqa_mc2",
        "metric": "acc",
        "filter": "none",
        "higher_is_better": True,
        "value": value,
        "baseline": 0.377,
        "blind": blind,
        "blind_control": "flat",
        **changes,
    }


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (
            untested(60, 0.466, is_blind=True),
            "truthfulqa_mc2 rises from 0.377 to 0.466 (p60): a rise towards blind, no improvement; "
            "blind answers get 0.483 (flat).",
        ),
        (
            untested(60, 0.501),
            "truthfulqa_mc2 rises from 0.377 to 0.501 (p60): above blind, not tested, blind answers get 0.483 (flat).",
        ),
        (
            untested(60, 0.466, p_holm=0.3, is_blind=True),
            "truthfulqa_mc2 rises from 0.377 to 0.466 (p60), which is not significant: a rise towards blind, "
            "no improvement; blind answers get 0.483 (flat).",
        ),
        (
            untested(60, 6.0, 5.5, higher_is_better=False, baseline=6.4, is_blind=True),
            "truthfulqa_mc2 falls from 6.400 to 6.000 (p60): a fall towards blind, no improvement; "
            "blind answers get 5.500 (flat).",
        ),
        (untested(60, 0.35, is_blind=True), None),
        (untested(60, 0.37704, is_blind=True), None),
    ],
    ids=["towards", "above", "not-significant", "perplexity", "falls", "rounding"],
)
def test_a_rise_of_a_task_without_skill_is_told_as_what_it_is(level, text):
    first = level | {"percent": 0, "value": level["baseline"], "is_blind": True, "p_holm": None}
    (table,) = headline_tables([first | {"method": None, "expansion_ratio": 4.0}, level])
    assert list(rises(table)) == ([text] if text else [])


@pytest.mark.parametrize(("value", "text"), [(0.644, "0.64"), (-0.1, "−0.10"), (-0.001, "0.00"), (1.05, "1.05")])
def test_skills_have_two_decimals(value, text):
    assert number.signed(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.746, "75 %"), (-0.04, "−4 %"), (-0.001, "0 %")])
def test_shares_are_whole_per_cents(value, text):
    assert number.share(value) == text


def test_controls_of_the_model_do_not_change_what_claims_are_made_of(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.9, 1), 20: drawn(0.8, 2), 40: drawn(0.6, 3)}, OPTIONS)
    rows = [dict(row) for row in conclude(tmp_path).rows]
    untrained = [row | {"control": "untrained", "percent": None, "blind": None, "skill": None} for row in rows[:1]]
    assert kept_of([*rows, *untrained]) == kept_of(rows) == {"nano": Kept.SKILL}


def test_too_few_items_are_not_called_a_missing_baseline(tmp_path):
    write(tmp_path, "facts", {0: drawn(0.9, 1), 20: drawn(0.85, 2), 40: drawn(0.25, 3)}, OPTIONS)
    _, table = told(tmp_path)
    table.cells["facts", 20].update(skill=None)
    table.cells["facts", 40].update(skill=None, n=6)
    notes = skill_notes(table)
    assert "no skill from fewer than 20 items: facts p40" in notes
    assert "no skill without a comparable p0 with controls: facts p20" in notes
