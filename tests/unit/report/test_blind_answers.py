from dataclasses import replace

import pytest

from glu_lib.analysis import conclude_published, headline_tables
from glu_lib.analysis.published.blind import BesideBlind, Verdict, beside_blind
from glu_lib.analysis.published.comparison import published_rows
from glu_lib.report.blind_answers import blind_answers, blind_levels, surviving
from glu_lib.report.contents import ReportData
from glu_lib.report.contents import report_data as report_data_of
from glu_lib.report.figures import figures_of
from glu_lib.report.figures.blind_scores import blind_figures
from glu_lib.report.findings import findings
from glu_lib.report.listings import blind_listing
from glu_lib.report.page import render_page
from glu_lib.study import STUDY

ITEM = BesideBlind(
    model="m",
    task="t",
    metric="acc",
    controls={"prompt": 0.25, "full stop": 0.15},
    unpruned=0.1,
    highest=0.16,
    highest_percent=20,
    last=0.14,
    last_percent=60,
    skill=None,
    blind_percents=(0, 20, 60),
    curve=((4.0, 0.1), (3.2, 0.16), (1.6, 0.14)),
    is_rise=True,
    verdict=Verdict.NO_SKILL,
)
BESIDE = "answer that does not follow the question (prompt 0.250, full stop 0.150)."


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            [
                f"t rises from 0.100 to 0.140 (p60), towards blind: no level is shown to beat the best {BESIDE}",
                "No skill shown at any level, not even p0: t (0.100 beside 0.250, prompt).",
            ],
        ),
        (
            {"is_rise": False},
            ["No skill shown at any level, not even p0: t (0.100 beside 0.250, prompt)."],
        ),
        (
            {"verdict": Verdict.KEPT, "skill": 0.234},
            ["Above blind at the narrowest level: t (23 % of its skill)."],
        ),
        (
            {"verdict": Verdict.LOST, "skill": -0.5},
            ["Skill unpruned, none shown at the narrowest level: t (0.140 beside 0.250, prompt)."],
        ),
        (
            {"verdict": Verdict.GAINED},
            ["Better than blind at some pruned levels, not unpruned: t (0.100 beside 0.250, prompt)."],
        ),
        ({"verdict": Verdict.UNKNOWN, "controls": {}}, ["No blind score is known: t."]),
    ],
)
def test_each_verdict_has_its_sentence(changes, lines):
    assert surviving([replace(ITEM, **changes)]) == lines


def test_of_equal_blind_answers_the_first_is_named():
    controls = {"always yes": 0.62171, "longest": 0.62171, "uniform": 0.5, "always no": 0.37829, "x": 0.1}
    assert blind_answers(controls) == "always yes 0.622, uniform 0.500, always no 0.378"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "all"),
        ({"verdict": Verdict.LOST, "blind_percents": (20, 60)}, "p20 p60"),
        ({"verdict": Verdict.KEPT, "blind_percents": ()}, "none"),
        ({"verdict": Verdict.UNKNOWN, "blind_percents": ()}, ""),
    ],
)
def test_the_levels_that_are_not_better_than_blind(changes, text):
    assert blind_levels(replace(ITEM, **changes)) == text


def test_the_table_of_the_published_scores():
    found = {(row[0], row[1]): row for row in blind_listing(beside_blind(published_rows())).rows}
    assert found["llama1b", "ifeval"][2:] == (
        *("prompt_level_strict_acc", "prompt 0.250, one word repeated 0.161, full stop 0.150"),
        *("0.103", "0.181 (p30)", "0.137 (p60)", None, "all", "no skill shown"),
    )
    assert found["llama3b", "boolq"][7:] == ("−1.10", "p10 p20 p30 p40 p50 p60", "not shown to end better than blind")
    assert found["llama1b", "leaderboard_musr"][3] is None


@pytest.fixture(scope="module")
def published():
    return report_data_of(conclude_published(), STUDY)


def test_the_report_of_the_published_study_says_which_findings_survive(published):
    told = [(found.about, found.text) for found in findings(published, headline_tables(published.rows))]
    for model in ("llama1b", "llama3b", "instruct1b"):
        lines = surviving([item for item in published.beside_blind if item.model == model])
        assert lines
        assert {(model, line) for line in lines} <= set(told)


def test_a_report_of_own_scores_says_nothing_of_published_findings(report_data):
    assert report_data.beside_blind  # shown as a table
    own = [row | {"record": "individual_files/x.json"} for row in report_data.rows if row["model"] == "llama1b"]
    data = ReportData(rows=own, beside_blind=report_data.beside_blind)
    lines = {line for line in surviving(report_data.beside_blind) if "towards blind" in line}
    assert lines.isdisjoint(found.text for found in findings(data, headline_tables(own)))


def test_the_page_holds_the_table_and_the_figure(published):
    page = render_page(published, figures_of(ReportData(beside_blind=published.beside_blind)))
    section = page.split('<h2 id="published">')[1].split("</section>")[0]
    assert 'id="blind-published"' in section
    assert "Published scores beside blind answers <small>(33 rows)" in section


def test_the_figure_has_a_line_at_the_best_blind_answer_of_each_share(published):
    (figure,) = blind_figures(published.beside_blind)
    rows = {(row[0], row[1], row[2]): row[3:] for row in figure.rows}
    assert rows["llama1b", "ifeval", 4.0] == (0.1035, 0.249538, "prompt")
    assert {task for _, task, _ in rows}.isdisjoint({"wikitext", "lambada_openai", "leaderboard_musr"})
    assert figure.spec["spec"]["layer"][0]["encoding"]["y"]["aggregate"] == "max"
    assert blind_figures(()) == []
