"""A collapsed level as a reader sees it: a word in tables and lines, a cross at the edge of figures."""

import json
import math

import pytest
from made_records import made_record

from glu_lib.analysis import conclude, headline_tables
from glu_lib.frontends import push as hub
from glu_lib.report import markdown_table, number, record_line, report_data, terminal_lines
from glu_lib.report.figures import figures_of
from glu_lib.report.figures.axes import edge, log_ticks, log_y
from glu_lib.report.figures.change_points import score_change, score_interval
from glu_lib.report.files import static_spec
from glu_lib.report.findings import findings
from glu_lib.report.page import render_page
from glu_lib.report.wide import wide_table
from glu_lib.study import STUDY

LOG_1E87 = 87 * math.log(10)
COLLAPSED, INFINITE = {"is_collapsed": True, "log_value": 202.5, "value": None}, {"log_value": None}


@pytest.mark.parametrize(
    ("changes", "score", "change"),
    [
        (COLLAPSED, "> 1e60", "collapsed"),
        (COLLAPSED | INFINITE, "∞", "collapsed"),
        ({"is_collapsed": False, "value": 9.9e59, "relative_delta": 9.9e59}, "9.9e+59", "×9.9e+59"),
        ({"value": 1.5e12, "relative_delta": 1e12 / 3}, "1.5e+12", "×3.3e+11"),
        ({"value": 46.31, "relative_delta": 29.19}, "46.31", "×30.2"),
        ({"value": 5988.6, "relative_delta": 105.79}, "5,989", "×107"),
        ({"value": 15.2, "relative_delta": 8.994}, "15.20", "+899 %"),
        ({"value": 733189.8, "relative_delta": 13073.6}, "733,190", "×13,075"),
    ],
)
def test_cells(changes, score, change):
    row = {"percent": 40} | changes
    assert (number.score(row), number.change(row)) == (score, change)


@pytest.mark.parametrize(
    ("value", "text"), [(1e50, "1e+50"), (10**50, "1e+50"), (1234567, "1,234,567"), (12345.6, "1.235e+04")]
)
def test_no_number_has_fifty_digits(value, text):
    assert number.plain(value) == text


@pytest.mark.parametrize(("value", "text"), [(1e50, "1e+50"), (123456.7, "123,457"), (0.01234, "0.0123")])
def test_joules_have_no_fifty_digits(value, text):
    assert number.joules(value) == text


@pytest.mark.parametrize(
    ("headline", "line"),
    [
        ({"value": 46.314}, "word_perplexity 46.31"),
        ({"value": 8.9e57}, "word_perplexity 8.9e+57"),
        (COLLAPSED, "word_perplexity > 1e60 (collapsed)"),
        (COLLAPSED | INFINITE, "word_perplexity ∞ (collapsed)"),
    ],
)
def test_the_line_of_a_finished_case(headline, line):
    named = {"label": "word_perplexity", "higher_is_better": False, "chance": None, **headline}
    assert record_line(made_record({"score": {"headline": named}})) == line


@pytest.fixture
def found(collapsed):
    return conclude(collapsed(p0="measured", p20="measured", p40=LOG_1E87, p60=None))


def test_tables_say_it_in_the_cell_and_explain_it_below(found):
    (table,) = headline_tables(found.rows)
    text = markdown_table(table)
    assert "| > 1e60 (collapsed*°) |\n" in text
    assert "| ∞ (collapsed*°) |\n" in text
    assert "\nCollapsed: above 1e60, or infinite (∞); worse than every finite score.\n" in text
    lines = terminal_lines(table, 80)
    assert all(len(line) <= 80 for line in lines)
    assert "collapsed*" in "\n".join(lines)
    assert "> 1e60" in "\n".join(lines)
    p40 = wide_table(table).rows[2].cells[-1]
    assert (p40.score, p40.change, p40.tint, p40.is_significant) == ("> 1e60", "collapsed", -1.0, True)
    assert p40.detail.startswith("its natural logarithm is 200.3; change > 1e60, 95 % interval > 1e60 to > 1e60; p = ")


def test_findings_name_it_and_count_nothing_as_left(found):
    data = report_data(found, STUDY)
    texts = [finding.text for finding in findings(data, headline_tables(found.rows))]
    assert "Collapsed, with a perplexity above 1e60 or infinite: narrative (p40, p60)." in texts
    (scores,) = [text for text in texts if text.startswith("At 2.4x")]
    assert "4 tasks keep 50 % of their skill on average: from narrative (0 %) to facts (92 %)" in scores


def row(**changes):
    fixed = {"baseline": 10.0, "delta": None, "delta_low": None, "delta_high": None, "higher_is_better": False}
    return fixed | {"p": 0.01} | changes


def test_a_collapse_has_lost_all_and_so_has_an_end_of_an_interval_that_has():
    assert score_change(row(**COLLAPSED)) == -100
    assert score_change(row(**COLLAPSED, baseline=None)) is None
    assert score_interval(row(**COLLAPSED, delta_low=10.0)) == (-100, -50)
    assert score_interval(row(**COLLAPSED, p=None)) == (None, None)
    assert score_interval(row(delta=10.0, delta_low=0.0)) == (-100, 0)


@pytest.fixture
def figures(found):
    return {figure.id: figure for figure in figures_of(report_data(found, STUDY))}


def layer_data(figure):
    (values,) = [data for data in figure.spec["datasets"].values() if "is_collapsed" in data[0]]
    return {point["level"]: point for point in values if point["task"] == "narrative"}


@pytest.mark.parametrize("name", ["change-nano-ppm", "perplexity-nano-ppm"])
def test_figures_mark_it_at_their_edge_and_say_so(figures, name):
    import vl_convert

    figure = figures[name]
    svg = vl_convert.vegalite_to_svg(static_spec(figure), allowed_base_urls=[])
    assert svg.count("M-8.062,-8.062L8.062,8.062") == 2  # crosses
    assert "the perplexity has collapsed (above 1e60, or infinite)." in figure.caption
    scores = {row[0:3:2]: row[4] for row in figure.rows}
    assert scores["narrative", "p40"] == "> 1e60"
    assert scores["narrative", "p60"] == "∞"
    assert json.dumps(figure.spec, allow_nan=False)


def test_perplexities_that_have_collapsed_stand_above_all_others_under_a_word(figures):
    import vl_convert

    points = layer_data(figures["perplexity-nano-ppm"])
    assert points["p40"]["height"] == points["p60"]["height"] > 2 * points["p20"]["height"]
    assert points["p0"]["height"] == pytest.approx(1.534, abs=1e-3)
    svg = vl_convert.vegalite_to_svg(static_spec(figures["perplexity-nano-ppm"]), allowed_base_urls=[])
    assert svg.count(">collapsed</text>") == 1


def test_a_figure_without_collapse_has_neither_cross_nor_word(collapsed):
    found = conclude(collapsed(p0="measured", p20="measured", p40="measured"))
    for figure in figures_of(report_data(found, STUDY)):
        assert "collapsed" not in figure.caption
        assert "M-1,-1" not in json.dumps(figure.spec)


def test_the_edge_is_above_all_values_and_round():
    assert edge([1.5, 3.0]) == 8.0
    assert edge([1.0, 1e50]) == 1e55
    assert edge([2.0]) == 5.0


def test_many_decades_have_few_ticks():
    ticks = log_ticks([1.5, 3e50])
    assert ticks[0] == 1
    assert 5 <= len(ticks) <= 8
    assert log_ticks([1.5, 46])[:3] == [1, 2, 5]


def test_the_axis_has_a_tick_for_what_has_collapsed_only_where_there_is_any():
    assert log_y("v", [1.5, 46.0], title="t", edge=None).to_dict()["axis"]["values"] == log_ticks([1.5, 46.0])
    axis = log_y("v", [1.5, 46.0], title="t", edge=200.0).to_dict()["axis"]
    assert axis["values"] == [1, 2, 5, 10, 20, 200]
    assert axis["labelExpr"] == "datum.value > 180 ? 'collapsed' : datum.label"


def test_tooltips_tell_what_is_not_known_as_a_dash():
    """Vega's `format` gives 0 for null: a point without an interval would tell one from 0 to 0."""
    import vl_convert
    from altair import Chart

    from glu_lib.report.figures import axes

    chart = axes.with_tooltip(Chart(axes.values([{"low": None}])).mark_point(), {"low": "from"}, numbers=("low",))
    view = vl_convert.vegalite_to_vega(axes.specification(chart))
    (transform,) = [step for data in view["data"] for step in data.get("transform", ()) if step["type"] == "formula"]
    assert transform["expr"] == "isValid(datum.low) ? format(datum.low, '.3~g') : '–'"
    assert '"from": isValid(datum["low_text"])' in view["marks"][0]["encode"]["update"]["tooltip"]["signal"]


def test_the_page_explains_it(found):
    page = render_page(report_data(found, STUDY))
    assert "<dt>Collapse</dt>" in page
    assert '<b class="mark">collapsed</b> above 1e60, or infinite (∞)' in page
    assert "&gt; 1e60" in page


def test_the_card_of_a_results_folder_shows_it(found):
    assert "> 1e60 (collapsed*°)" in hub.results_card(found.rows)
