import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from glu_lib.analysis import headline_tables
from glu_lib.analysis.consolidation import Header
from glu_lib.analysis.headline import main_tables
from glu_lib.errors import ReportError
from glu_lib.report.contents import ReportData, runs_of
from glu_lib.report.files import write_report
from glu_lib.report.findings import findings
from glu_lib.report.page import render_page
from glu_lib.report.wide import wide_table

HOSTILE = "</script><script>window.hacked=true</script><img src=x onerror=window.hacked=true>"
MAX_BYTES = 2_500_000  # of three models with all analyses; half of it is Vega


class Outline(HTMLParser):
    """Tags, headings and ids of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.headings, self.ids, self.sources = [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "id" in values:
            self.ids.append(values["id"])
        self.sources += [values[name] for name in ("src", "href") if name in values]


def outline(page):
    parser = Outline()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def page(report_data):
    return render_page(report_data)


def test_the_page_is_one_file_of_bearable_size_without_addresses(page):
    found = outline(page)
    assert len(page.encode()) < MAX_BYTES
    assert all(source.startswith("#") for source in found.sources)
    assert "img" not in found.tags
    assert "link" not in found.tags
    assert "default-src 'none'" in page


def test_hostile_names_are_text(page):
    assert HOSTILE not in page
    assert "&lt;/script&gt;&lt;script&gt;window.hacked=true" in page


def test_hostile_names_in_figures_cannot_end_their_element(report_data):
    rows = [{**row, "model": HOSTILE, "subject": f"{HOSTILE}{row['subject']}"} for row in report_data.rows]
    page = render_page(ReportData(rows=rows))
    assert HOSTILE not in page
    data = re.search(r'<script type="application/json" id="figures-data">(.*?)</script>', page, re.DOTALL)
    assert HOSTILE in json.dumps(json.loads(data[1])["titles"])


def test_headings_are_in_order_and_ids_unique(page):
    found = outline(page)
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert len(found.ids) == len(set(found.ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(found.ids)


def test_landmarks_captions_and_scopes_are_there(page):
    found = outline(page)
    for tag in ("header", "nav", "main", "footer"):
        assert tag in found.tags
    assert found.tags.count("table") == found.tags.count("caption")
    assert "<th>" not in page
    assert 'class="skip" href="#main"' in page


def test_the_numbers_stand_in_tables_without_javascript(page):
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "0.936" in text
    assert "(−6 %)" in text
    assert text.count("<figure") == text.count("JavaScript draws this figure; its numbers are in the table below.")


def test_an_empty_report_says_so():
    page = render_page(ReportData())
    for sentence in (
        "No findings yet",
        "The records do not say where they ran",
        "No record holds a score",
        "None: every record and its samples could be used",
    ):
        assert sentence in page
    assert "<figure" not in page


def test_what_is_missing_and_left_out_is_named(page):
    assert "llama1b: 1 declared case has no record" in page
    assert "<code>llama1b-p60-gsm8k</code>" in page
    assert "2 files were left out" in page
    assert "another record: torn" in page


def test_marks_stand_at_significant_and_guessed_scores(report_data):
    tables = {table.title: wide_table(table) for table in headline_tables(report_data.rows)}
    nano = tables["nano"]
    level = next(row for row in nano.rows if row.level == "p40")
    cells = dict(zip([heading.task for heading in nano.headings], level.cells, strict=True))
    assert level.ratio == "2.4x"
    assert (cells["sums"].score, cells["sums"].change) == ("0.278", "−72 %")
    assert cells["sums"].is_significant
    assert cells["sums"].tint == pytest.approx(-0.722)
    assert "exact McNemar, 500 items" in cells["sums"].detail
    unpruned = nano.rows[0].cells[0]
    assert (unpruned.change, unpruned.is_significant, unpruned.tint) == ("", False, 0)
    assert any(cell.is_blind for row in tables["llama1b"].rows for cell in row.cells)
    main = main_tables(headline_tables(report_data.rows))
    assert [table.title for table in main] == ["nano", "llama1b", "llama3b"]


def test_a_perplexity_thirty_times_as_high_is_no_deeper_than_all_lost(report_data):
    nano = wide_table(headline_tables(report_data.rows)[0])
    place = [heading.task for heading in nano.headings].index("narrative")
    (last,) = [row for row in nano.rows if row.level == "p60"]
    assert last.cells[place].change == "×30.2"
    assert last.cells[place].tint == pytest.approx(-0.967, abs=1e-3)  # baseline / value - 1
    assert nano.headings[place].better == "lower is better"


def test_findings_are_computed_from_the_data(report_data):
    found = findings(report_data, headline_tables(report_data.rows))
    nano = [finding.text for finding in found if finding.about == "nano"]
    # Means at p40: of the seven skills, and of the relative scores; 741,504 of 1,054,848 parameters.
    assert nano[0] == (
        "At 2.4x (p40, −30 % parameters) 7 tasks keep 75 % of their skill on average: from sums (27 %) to facts "
        "(92 %); 0 % is blind."
    )
    assert nano[1] == (
        "Scores, which hold what blind answers get: 7 tasks keep 75 % of their unpruned score on average: from sums "
        "(−72 %) to facts (−6 %), perplexity as baseline / value. 7 of 7 changes are significant after Holm's "
        "correction."
    )
    texts = [finding.text for finding in found if finding.about == "llama1b"]
    assert any(text.startswith("Not shown to be better than blind: mmlu (p10") for text in texts)
    assert any(
        text.startswith("Best trade-off between 4.0x and 1.6x (knee of the Pareto front): 2.4x (p40), where")
        for text in nano
    )
    assert "Fragile: commonsense, facts, instructions, lastword, narrative, sums and truth." in nano
    assert any(
        text.endswith("from the scores at 7 levels alone, without the items: any curvature counts as noise.")
        for text in texts
    )
    assert any("joules per token by −18 %" in text and text.endswith("Energy is estimated.") for text in texts)
    assert any(re.match(r"\d+ of 70 scores are within 1\.96 standard errors of the published", text) for text in texts)


@pytest.mark.parametrize("change", [{"r": None}, {"r": 0.9}, {"p": 0.06}, {"p": None}, {"r_low": None, "r_high": None}])
def test_a_correlation_that_is_unknown_common_or_unsure_is_no_finding(report_data, change):
    found = dataclasses.replace(report_data.correlations[0], n=7, r=-0.93, p=0.002, r_low=-0.99, r_high=-0.6)
    known = dataclasses.replace(found, task_a="mmlu", task_b="truthfulqa_mc2")
    (finding,) = findings(ReportData(correlations=[known]), [])
    assert finding.text == (
        "mmlu and truthfulqa_mc2 move in opposite directions over 7 levels (r = −0.93, 95 % −0.99 to −0.60; "
        "p = 0.002 if levels were independent, not corrected for the number of pairs)."
    )
    assert findings(ReportData(correlations=[dataclasses.replace(known, **change)]), []) == []


def test_runs_are_grouped_by_their_conditions(report_data):
    (run,) = report_data.runs
    assert (run.model, run.records, run.dtype, run.limit) == ("nano", 105, "float32", None)
    assert run.versions["lm_eval"] == "0.4.13"
    assert run.first_at < run.last_at


def test_records_of_another_limit_are_another_run():
    header = Header("nano", "c", "float32", (), None, None, "2026-01-02")
    runs = runs_of([header, header, dataclasses.replace(header, limit=8)])
    assert [(run.records, run.limit) for run in runs] == [(2, None), (1, 8)]


def test_only_the_page_and_its_figures_are_written(tmp_path, report_data):
    empty = dict.fromkeys(("rows", "beside", "beside_blind", "efficiencies", "curves", "trade_offs"), ())
    small = dataclasses.replace(report_data, **empty)
    paths = write_report(tmp_path, small)
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(paths) == written
    names = [path.relative_to(tmp_path).as_posix() for path in written]
    models = ("llama1b", "llama3b", "nano")
    figures = [f"report/figures/slopes-{model}-ppm.{suffix}" for model in models for suffix in ("png", "svg")]
    assert names == [*figures, "report/index.html"]
    svg = (tmp_path / "report/figures/slopes-nano-ppm.svg").read_text()
    assert "nano: slope of each task" in svg
    assert "var(--" not in svg
    assert (tmp_path / "report/figures/slopes-nano-ppm.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(
        ReportError, match=r"report: the report cannot be written \(.+\); check free space and permissions"
    ):
        write_report(tmp_path, ReportData())


def test_a_quick_look_is_spoken_of_as_such_until_there_are_complete_records(report_data):
    quick = [
        row | {"limit": 40} for row in report_data.rows if row["model"] == "nano" and row["method"] in (None, "PPM")
    ]
    (first, *_) = findings(ReportData(rows=quick), headline_tables(quick))
    assert first.text.startswith("Limited run, 40 samples per task: at 2.4x (p40, −30 % parameters) 7 tasks keep 75 %")
    page = render_page(ReportData(rows=quick))
    assert "No findings yet" not in page
    assert "Other methods" not in page
    both = [*quick, *report_data.rows]
    assert main_tables(headline_tables(both))[0].limit is None


def test_one_task_is_told_in_the_singular(report_data):
    rows = [row for row in report_data.rows if row["model"] == "nano" and row["subject"] == "facts"]
    rows = [row for row in rows if row["method"] in (None, "PPM")]
    (first, *_) = findings(ReportData(rows=rows), headline_tables(rows))
    assert first.text == (
        "At 2.4x (p40, −30 % parameters) facts keeps 92 % of its skill (95 %: 89 % to 94 %); 0 % is blind."
    )


def test_what_was_not_tested_is_listed(report_data):
    page = render_page(
        dataclasses.replace(report_data, untested=["nano-p40-facts: p0 of the same measurement is missing"])
    )
    assert "Changes that were not tested" in page
    assert "nano-p40-facts: p0 of the same measurement is missing" in page
