import dataclasses
import json
import math

import pytest
import vl_convert

from glu_lib.errors import ReportError
from glu_lib.report.contents import ReportData
from glu_lib.report.figures import Figure, Section, figures_of
from glu_lib.report.figures.axes import log_ticks, side_by_side, star_layers
from glu_lib.report.figures.change_points import change_percent
from glu_lib.report.figures.figure import figure_id, with_distinct_ids
from glu_lib.report.figures.theme import DASHES, PAPER, POINT_SHAPES, SCREEN, theme
from glu_lib.report.files import static_spec


@pytest.fixture(scope="module")
def figures(report_data):
    return {figure.id: figure for figure in figures_of(report_data)}


def test_there_is_a_figure_of_each_family(figures):
    assert set(figures) >= {
        "change-nano-ppm",
        "perplexity-llama1b-ppm",
        "models",
        "methods-nano-p30",
        "kinds-llama3b",
        "slopes-llama1b-ppm",
        "trade-off-llama1b-parameters",
        "trade-off-llama1b-energy-per-token-j",
        "blind-published",
        "published-llama1b",
        "difference-llama1b",
        "difference-llama1b-perplexity",
        "energy-llama1b-ppm-nvidia-test-gpu",
        "throughput-llama1b-ppm-nvidia-test-gpu",
        "time-to-first-token-llama1b-ppm-nvidia-test-gpu",
        "time-per-output-token-llama1b-ppm-nvidia-test-gpu",
        "aligned-prefill-llama1b-ppm-nvidia-test-gpu",
        "aligned-decoding-llama1b-ppm-nvidia-test-gpu",
    }


def test_without_data_there_is_no_figure():
    assert figures_of(ReportData()) == []


def test_words_and_numbers_stand_with_each_figure(figures):
    for figure in figures.values():
        assert figure.title
        assert figure.caption.endswith(".")
        assert figure.alt.endswith(".")
        assert figure.rows
        # One sentence on what is plotted may be followed by notes on intervals and scales, not by a paragraph.
        assert len(figure.caption) < 320
        assert "NaN" not in json.dumps(figure.spec, allow_nan=False)


def test_all_figures_are_vega_lite_that_draws_without_network(figures):
    for figure in figures.values():
        assert '"url"' not in json.dumps(figure.spec)
        svg = vl_convert.vegalite_to_svg(static_spec(figure), allowed_base_urls=[])
        assert svg.count("<path") > len(figure.rows) // 2


def test_the_unpruned_change_is_zero_and_the_table_holds_the_record(figures):
    figure = figures["change-nano-ppm"]
    rows = [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]
    facts = {row["level"]: row for row in rows if row["task"] == "facts"}
    assert facts["p0"]["change, %"] == 0
    assert facts["p40"]["score"] == 0.936
    assert facts["p40"]["change, %"] == pytest.approx(100 * (0.936 / 0.996 - 1))
    assert facts["p40"]["95 % from, %"] < facts["p40"]["change, %"] < facts["p40"]["to, %"]
    assert len(rows) == 7 * 7


def metric(value, baseline, higher):
    return {"value": value, "baseline": baseline, "delta": value - baseline, "higher_is_better": higher}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (metric(0.5, 1.0, True), -50),
        (metric(1.5, 1.0, True), 50),
        (metric(4.0, 2.0, False), -50),  # twice the perplexity: half the relative score
        (metric(1.0, 2.0, False), 100),
        (metric(0.5, 0.0, True), None),
        (metric(0.1, -0.2, True), None),  # a negative baseline (mcc) is no unit
    ],
)
def test_change_is_better_upwards_for_every_metric(row, change):
    found = change_percent(row, row["delta"])
    assert found is None if change is None else math.isclose(found, change)


def test_without_interval_or_baseline_there_is_no_change():
    assert change_percent(metric(1.0, 1.0, True), None) is None
    assert change_percent({**metric(1.0, 1.0, True), "baseline": None}, 0.1) is None


def test_the_end_of_an_interval_beyond_a_positive_perplexity_has_no_change():
    assert change_percent(metric(1.0, 2.0, False), -2.5) is None


def test_ids_are_safe_and_distinct(figures):
    assert figure_id("Change", "</script>", None, "a/../b") == "change-script-a-b"
    first = figures["models"]
    assert [figure.id for figure in with_distinct_ids([first, first, first])] == ["models", "models-2", "models-3"]


def test_a_table_with_a_missing_cell_is_refused():
    with pytest.raises(ReportError, match="figure 'a': each row needs 2 cells; complete its table"):
        Figure("a", "t", "c.", "alt.", Section.ENERGY, {}, ("x", "y"), ((1,),))


def test_2_4x_is_marked_where_the_figure_reaches_it():
    assert len(star_layers([4.0, 2.4, 1.6])) == 2
    assert star_layers([4.0, 3.2]) == []


def test_series_beyond_the_colours_differ_in_shape():
    colors = len(theme(PAPER)["range"]["category"])
    looks = {
        (place % colors, POINT_SHAPES[place % len(POINT_SHAPES)], str(DASHES[place % len(DASHES)]))
        for place in range(30)
    }
    assert len(looks) == 30


def test_ticks_of_a_logarithmic_axis_surround_the_values():
    ticks = log_ticks([1.5, 46])
    assert [tick for tick in ticks if 1 <= tick <= 50] == [1, 2, 5, 10, 20, 50]


def test_measured_and_estimated_parts_are_told_apart(figures):
    figure = figures["energy-llama1b-ppm-nvidia-test-gpu"]
    rows = [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]
    assert {(row["part"], row["quality"]) for row in rows} == {
        ("GPU", "measured"),
        ("CPU", "estimated"),
        ("RAM", "estimated"),
    }
    assert "GPU, measured" in json.dumps(figure.spec)


def test_a_front_point_is_beaten_by_no_cheaper_one(figures):
    figure = figures["trade-off-llama1b-parameters"]
    rows = [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]
    for row in rows:
        cheaper = [other for other in rows if other["parameters"] < row["parameters"]]
        (kept,) = [name for name in figure.columns if name.startswith("mean ")]
        beaten = any(other[kept] >= row[kept] for other in cheaper)
        assert row["on the front"] is not beaten


def test_rounded_widths_stand_beside_plain_ones_with_the_same_unpruned_model(figures):
    figure = figures["aligned-prefill-llama1b-ppm-nvidia-test-gpu"]
    rows = [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]
    assert {row["width is"] for row in rows} == {"plain width", "multiple of 128"}
    assert sum(row["level"] == "p0" for row in rows) == 2 * 6
    assert all(row["width"] % 128 == 0 for row in rows if row["width is"] == "multiple of 128")


@pytest.mark.parametrize("change", [{"slope": None}, {"levels": 2}])
def test_slopes_that_are_unknown_or_of_two_levels_are_left_out(report_data, change):
    trends = [dataclasses.replace(trend, **change) for trend in report_data.trends]
    assert figures_of(ReportData(trends=trends)) == []


def test_on_the_page_colours_are_the_style_sheets():
    assert theme(SCREEN)["axis"]["labelColor"] == "var(--muted)"
    assert theme(PAPER)["background"] == "#ffffff"


def test_points_of_one_ratio_stand_side_by_side_and_ratios_stay_apart():
    ratios, tasks = (4.0, 3.9, 1.6), [f"task{number}" for number in range(12)]
    points = [{"task": task, "expansion_ratio": ratio} for task in tasks for ratio in ratios]
    placed = side_by_side(points, "task")
    for ratio in ratios:
        places = [point["place"] for point in placed if point["expansion_ratio"] == ratio]
        assert places == sorted(places, reverse=True)  # the axis runs from wide to narrow
        assert len(set(places)) == len(tasks)
        assert max(abs(place - ratio) for place in places) < 0.1 / 2
        assert sum(places) / len(places) == pytest.approx(ratio)


def test_a_single_ratio_has_no_room_for_series():
    points = [{"task": task, "expansion_ratio": 4.0} for task in "ab"]
    assert [point["place"] for point in side_by_side(points, "task")] == [4.0, 4.0]
