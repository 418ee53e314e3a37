"""What figures share: the axis of expansion ratios with 2.4x marked; series in colours, shapes and dashes."""

from __future__ import annotations

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
PANEL_WIDTH = 180  # of one panel among several; the page fits it to its own width
RATIO_TITLE = "expansion ratio (intermediate / hidden size)"
_LABEL = "format(datum.value, '.1f') + 'x'"
COMMON_RATIOS = (4.0, 3.2, 2.4, 1.6, 0.8)  # ticks where models have different ratios
_TEXT = "_text"  # ends the names of numbers as tooltips tell them
_MOST_DECADES = 6
_GAP = 0.4  # decades from the largest finite value to the edge, at least
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_PADDING = 0.12  # of an expansion ratio, so that no point sits on the frame


def values(records: Iterable[dict[str, Any]]) -> Any:
    """Records as the data of a chart; six digits are more than a drawing shows."""
    return {"values": [{name: _short(value) for name, value in record.items()} for record in records]}


def ratio_x(ratios: Iterable[float], *, title: str | None = RATIO_TITLE, ticks: Sequence[float] | None = None) -> alt.X:
    """Expansion ratio, the unpruned model at the left; by default a tick for each ratio that was measured."""
    import altair as alt

    measured = sorted(set(ratios), reverse=True)
    labelled = list({format_ratio(ratio): ratio for ratio in measured}.values())
    return (
        alt.X("expansion_ratio:Q", title=title)
        .scale(domain=[measured[0] + _PADDING, measured[-1] - _PADDING], nice=False, zero=False)
        .axis(values=labelled if ticks is None else list(ticks), labelExpr=_LABEL, labelOverlap="greedy")
    )


def star_layers(ratios: Iterable[float]) -> list[Any]:
    """A rule at 2.4x with its label; nothing where the figure does not reach that far."""
    import altair as alt

    measured = list(ratios)
    if not min(measured) <= STAR_RATIO <= max(measured):
        return []
    place = alt.Chart(values([{"expansion_ratio": STAR_RATIO, "label": format_ratio(STAR_RATIO)}]))
    at = alt.X("expansion_ratio:Q", title=RATIO_TITLE)
    return [
        place.mark_rule(style="note-rule").encode(x=at),
        place.mark_text(style="note-text", align="left", baseline="top", dx=5, dy=-4).encode(
            x=at, y=alt.value(0), text="label:N"
        ),
    ]


def log_ticks(found: Iterable[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten around positive values; over many decades some of the powers alone."""
    known = list(found)
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    if last - first > _MOST_DECADES:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first) / _MOST_DECADES))]
    return [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]


def edge(finite: Iterable[float]) -> float:
    """Where collapsed values stand on a logarithmic axis: above all others, by a tenth of what these reach over."""
    known = list(finite)
    decades = math.log10(max(known) / min(known))
    return float(f"{max(known) * 10.0 ** max(_GAP, decades / 10):.0e}")


def log_y(name: str, finite: Sequence[float], *, title: str, edge: float | None) -> alt.Y:
    """A logarithmic axis with ticks around the finite values; with `edge` a tick more for what has collapsed."""
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
    """A cross over each point of a collapsed value, for `layered`; nothing where there is none.

    Args:
        base: the chart.
        drawn: its points, with `is_collapsed`.
        told: what a cross tells, as `with_tooltip` takes it.
        numbers: those of it that are numbers.
        place: the channel (x or y) on which the points stand, where `base` does not say it.
    """
    if not any(point["is_collapsed"] for point in drawn):
        return []
    crosses = base.transform_filter("datum.is_collapsed").mark_point(style="collapsed", shape=_CROSS, size=260)
    return [with_tooltip(crosses.encode(**place), told, numbers=numbers)]


def zero_layer(value: float = 0) -> Any:
    """A thin line where nothing changes."""
    import altair as alt

    return alt.Chart(values([{"zero": value}])).mark_rule(style="zero-rule").encode(y=alt.Y("zero:Q"))


def color(field: str, order: Sequence[str], *, title: str | None = None) -> alt.Color:
    """The theme's colours in the order of `order`, from the start again where there are more."""
    import altair as alt

    return alt.Color(f"{field}:N", title=title, sort=list(order)).scale(domain=list(order))


def shape(field: str, order: Sequence[str], *, title: str | None = None) -> alt.Shape:
    """A shape for each of `order`; see `color`."""
    import altair as alt

    return alt.Shape(f"{field}:N", title=title, sort=list(order)).scale(
        domain=list(order), range=[POINT_SHAPES[place % len(POINT_SHAPES)] for place in range(len(order))]
    )


def dash(field: str, order: Sequence[str]) -> alt.StrokeDash:
    """A dash pattern for each of `order`, for `layered`, which keeps it out of the legend; see `color`."""
    import altair as alt

    return (
        alt.StrokeDash(f"{field}:N", sort=list(order))
        .scale(domain=list(order), range=[list(DASHES[place % len(DASHES)]) for place in range(len(order))])
        .legend(None)
    )


def layered(*layers: Any, **properties: Any) -> Any:
    """Layers over each other, with colour and shape in the legend: its symbols are too small for dashes."""
    import altair as alt

    return alt.layer(*layers, **properties).resolve_legend(strokeDash="independent")


def with_interval(base: Any, drawn: Sequence[dict[str, Any]], low: str, high: str) -> list[Any]:
    """The chart of those points that have an interval; nothing where none has."""
    known = any(point[low] is not None and point[high] is not None for point in drawn)
    return [base.transform_filter(f"isValid(datum.{low}) && isValid(datum.{high})")] if known else []


def highlight(field: str) -> tuple[Any, Any]:
    """A selection by clicks on the legend, and the opacity that lets all other series fade."""
    import altair as alt

    pick = alt.selection_point(name="pick", fields=[field], bind="legend", toggle="true")
    return pick, alt.when(pick).then(alt.value(1.0)).otherwise(alt.value(0.12))


def highlighted(pick: Any, *layers: Any) -> list[Any]:
    """Coloured layers of which the first takes the clicks: Vega-Lite makes that layer's legend answer, no other."""
    first, *others = layers
    return [first.add_params(pick), *others]


def with_tooltip(marks: Any, columns: dict[str, str], *, numbers: Iterable[str] = ()) -> Any:
    """Marks that tell their values: `columns` maps a value's name to its heading, `numbers` have three digits.

    A number that is not known is told as a dash: formatting null would give 0.
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
    """A chart as Vega-Lite without Altair's default theme; the legend of panels stands above them."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    if "facet" in spec:
        # Beside panels there is no room; above them there is.
        spec["config"] = {"legend": {"orient": "top"}}
    return spec


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
