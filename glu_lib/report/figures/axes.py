"""Building blocks of all figures: axes, colours, shapes, dashes, highlighting, tooltips."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from glu_lib.report.figures.theme import DASHES, POINT_SHAPES
from glu_lib.study.architecture import format_ratio
from glu_lib.study.cases import STAR_RATIO

if TYPE_CHECKING:
    import altair as alt

HEIGHT = 340
PANEL_HEIGHT = 150
PANEL_WIDTH = 180  # of one panel in a row; the page adapts it to its own width
RATIO_TITLE = "expansion ratio (intermediate / hidden size)"
_LABEL = "format(datum.value, '.1f') + 'x'"
COMMON_RATIOS = (4.0, 3.2, 2.4, 1.6, 0.8)  # ticks of figures whose models have different ratios
_TEXT = "_text"  # suffix of the fields that hold formatted numbers for tooltips
_MOST_DECADES = 6
_GAP = 0.4  # minimum distance in decades from the largest finite value to the edge
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_STEP = 0.008  # of the range of expansion ratios, between series that stand side by side
_PADDING = 0.12  # in units of the expansion ratio, so that no point lies on the frame


def values(records: Iterable[dict[str, Any]]) -> Any:
    """Records as the data of a chart, rounded to six significant digits to keep the page small."""
    return {"values": [{name: _short(value) for name, value in record.items()} for record in records]}


def ratio_x(
    ratios: Iterable[float],
    *,
    title: str | None = RATIO_TITLE,
    ticks: Sequence[float] | None = None,
    field: str = "expansion_ratio",
) -> alt.X:
    """The x axis of expansion ratios, with the baseline at the left; by default one tick per measured ratio."""
    import altair as alt

    measured = sorted(set(ratios), reverse=True)
    labelled = list({format_ratio(ratio): ratio for ratio in measured}.values())
    return (
        alt.X(f"{field}:Q", title=title)
        .scale(domain=[measured[0] + _PADDING, measured[-1] - _PADDING], nice=False, zero=False)
        .axis(values=labelled if ticks is None else list(ticks), labelExpr=_LABEL, labelOverlap="greedy")
    )


def side_by_side(points: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Points with a `place` on the x axis: those of one expansion ratio beside each other, so that bars do not overlap.

    Series take turns from left to right in the order of their first point. Together they take at most three fifths of
    the smallest gap between two ratios.
    """
    ratios = sorted({point["expansion_ratio"] for point in points})
    series = list(dict.fromkeys(point[key] for point in points))
    gaps = [above - below for below, above in itertools.pairwise(ratios)]
    step = min(_STEP * (ratios[-1] - ratios[0]), 0.6 * min(gaps) / len(series)) if gaps else 0.0
    offsets = {name: step * ((len(series) - 1) / 2 - place) for place, name in enumerate(series)}
    return [point | {"place": point["expansion_ratio"] + offsets[point[key]]} for point in points]


def star_layers(ratios: Iterable[float]) -> list[Any]:
    """A labelled rule at 2.4x, the ratio of the published study (arXiv:2512.22671).

    Empty if `ratios` do not include 2.4x in their range.
    """
    import altair as alt

    measured = list(ratios)
    if not min(measured) <= STAR_RATIO <= max(measured):
        return []
    place = alt.Chart(
        values([{"expansion_ratio": STAR_RATIO, "label": f"{format_ratio(STAR_RATIO)}, published study"}])
    )
    at = alt.X("expansion_ratio:Q", title=RATIO_TITLE)
    # The label stands on the wider side of the rule; ratios fall from left to right.
    is_left = max(measured) - STAR_RATIO > STAR_RATIO - min(measured)
    return [
        place.mark_rule(style="note-rule").encode(x=at),
        place.mark_text(
            style="note-text", align="right" if is_left else "left", baseline="top", dx=-5 if is_left else 5, dy=-4
        ).encode(x=at, y=alt.value(0), text="label:N"),
    ]


def log_ticks(found: Iterable[float]) -> list[float]:
    """Ticks at 1, 2 and 5 times powers of ten around positive values; over many decades only some powers of ten."""
    known = list(found)
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    if last - first > _MOST_DECADES:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first) / _MOST_DECADES))]
    return [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]


def edge(finite: Iterable[float]) -> float:
    """Position of collapsed values on a logarithmic axis: above all finite ones, by at least a tenth of their range."""
    known = list(finite)
    decades = math.log10(max(known) / min(known))
    return float(f"{max(known) * 10.0 ** max(_GAP, decades / 10):.0e}")


def log_y(name: str, finite: Sequence[float], *, title: str, edge: float | None) -> alt.Y:
    """A logarithmic y axis with ticks around the finite values; `edge` adds a tick for collapsed values."""
    import altair as alt

    height, ticks = alt.Y(f"{name}:Q", title=title), log_ticks(finite)
    if edge is None:
        return height.scale(type="log", nice=False).axis(values=ticks)
    above = edge * (edge / max(finite)) ** 0.7  # room for the crosses
    labels = f"datum.value > {0.9 * edge:.3g} ? 'collapsed' : datum.label"
    return height.scale(type="log", nice=False, domainMax=above).axis(
        values=[*(tick for tick in ticks if tick < max(finite)), edge], labelExpr=labels
    )


def collapsed_marks(
    base: Any, drawn: Sequence[dict[str, Any]], told: dict[str, str], *, numbers: Iterable[str], **place: Any
) -> list[Any]:
    """A cross over each collapsed value, as layers for `layered`; empty without collapsed values.

    Args:
        base: the chart.
        drawn: the points of the chart, with `is_collapsed`.
        told: the columns of the tooltip, as in `with_tooltip`.
        numbers: the numeric columns, as in `with_tooltip`.
        place: the x or y channel of the points if `base` does not encode it.
    """
    if not any(point["is_collapsed"] for point in drawn):
        return []
    crosses = base.transform_filter("datum.is_collapsed").mark_point(style="collapsed", shape=_CROSS, size=260)
    return [with_tooltip(crosses.encode(**place), told, numbers=numbers)]


def zero_layer(value: float = 0) -> Any:
    """A thin horizontal line at `value`."""
    import altair as alt

    return alt.Chart(values([{"zero": value}])).mark_rule(style="zero-rule").encode(y=alt.Y("zero:Q"))


def color(field: str, order: Sequence[str], *, title: str | None = None) -> alt.Color:
    """Assign the theme's colours to the series in `order`; colours repeat if there are more series."""
    import altair as alt

    return alt.Color(f"{field}:N", title=title, sort=list(order)).scale(domain=list(order))


def shape(field: str, order: Sequence[str], *, title: str | None = None) -> alt.Shape:
    """Assign a shape to each series in `order`; see `color`."""
    import altair as alt

    return alt.Shape(f"{field}:N", title=title, sort=list(order)).scale(
        domain=list(order), range=[POINT_SHAPES[place % len(POINT_SHAPES)] for place in range(len(order))]
    )


def dash(field: str, order: Sequence[str]) -> alt.StrokeDash:
    """Assign a dash pattern to each series in `order`; `layered` keeps dashes out of the legend. See `color`."""
    import altair as alt

    return (
        alt.StrokeDash(f"{field}:N", sort=list(order))
        .scale(domain=list(order), range=[list(DASHES[place % len(DASHES)]) for place in range(len(order))])
        .legend(None)
    )


def layered(*layers: Any, **properties: Any) -> Any:
    """Combine layers; the legend shows colour and shape, because its symbols are too small for dashes."""
    import altair as alt

    return alt.layer(*layers, **properties).resolve_legend(strokeDash="independent")


def with_interval(base: Any, drawn: Sequence[dict[str, Any]], low: str, high: str) -> list[Any]:
    """The chart restricted to the points with an interval; empty if no point has one."""
    known = any(point[low] is not None and point[high] is not None for point in drawn)
    return [base.transform_filter(f"isValid(datum.{low}) && isValid(datum.{high})")] if known else []


def highlight(field: str) -> tuple[Any, Any]:
    """A selection by clicks on the legend, and an opacity that fades all other series."""
    import altair as alt

    pick = alt.selection_point(name="pick", fields=[field], bind="legend", toggle="true")
    return pick, alt.when(pick).then(alt.value(1.0)).otherwise(alt.value(0.12))


def highlighted(pick: Any, *layers: Any) -> list[Any]:
    """Add the selection to the first layer: in Vega-Lite only the legend of that layer reacts to clicks."""
    first, *others = layers
    return [first.add_params(pick), *others]


def with_tooltip(marks: Any, columns: dict[str, str], *, numbers: Iterable[str] = ()) -> Any:
    """Add a tooltip: `columns` maps the name of a value to its heading; `numbers` are shown with three digits.

    A missing number is shown as a dash, because Vega would format null as 0.
    """
    import altair as alt

    numeric = set(numbers)
    texts = {f"{name}{_TEXT}": f"isValid(datum.{name}) ? format(datum.{name}, '.3~g') : '–'" for name in numeric}
    lines = [
        alt.Tooltip(f"{name}{_TEXT}:N" if name in numeric else f"{name}:N", title=title)
        for name, title in columns.items()
    ]
    return (marks.transform_calculate(**texts) if texts else marks).encode(tooltip=lines)


def specification(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite without Altair's default theme; the legend of a panel figure is above the panels."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    if "facet" in spec:
        spec["config"] = {"legend": {"orient": "top"}}
    return spec


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
