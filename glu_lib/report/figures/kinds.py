"""Fragile and robust tasks: the mean curve of each kind of task, and the slope of each task with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from glu_lib.analysis.claims import GroupCurve
from glu_lib.analysis.level_series import LevelSeries, only
from glu_lib.analysis.trends import Trend
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table, id_parts
from glu_lib.report.figures.theme import KIND_COLORS, KIND_DASHES, KIND_SHAPES
from glu_lib.report.skills import Kept

_POINT = {
    "kind": "kind of task",
    "expansion_ratio": "expansion ratio",
    "score": "relative score, %",
    "low": "lowest task, %",
    "high": "highest task, %",
    "tasks": "tasks",
}
_SLOPE = {
    "task": "task",
    "metric": "metric",
    "kind": "kind",
    "slope": "slope, % per 1.0x removed",
    "low": "95 % from",
    "high": "to",
    "levels": "levels",
    "source": "interval from",
}
_SCORES: Mapping[str, Kept] = {}  # no model has controls
_ROW_HEIGHT = 26
_FEWEST_LEVELS = 3  # a line fits two points without error


def curve_figures(curves: Iterable[GroupCurve], kept: Mapping[str, Kept] = _SCORES) -> list[Figure]:
    """One figure per model: what its fragile, robust and improving tasks keep on average, skill or relative score."""
    found = list(curves)
    return [
        _curves(model, [curve for curve in found if curve.model == model], kept.get(model, Kept.SCORE))
        for model in _models(found)
    ]


def slope_figures(trends: Iterable[Trend], kept: Mapping[str, Kept] = _SCORES) -> list[Figure]:
    """One forest plot of slopes per family of levels; the steepest loss comes first."""
    families: dict[LevelSeries, list[Any]] = {}
    for trend in trends:
        if trend.slope is not None and trend.levels >= _FEWEST_LEVELS:
            families.setdefault(trend.family, []).append(trend)
    return [_slopes(family, members, kept.get(family.model, Kept.SCORE)) for family, members in families.items()]


def _curves(model: str, curves: Sequence[GroupCurve], kept: Kept) -> Figure:
    import altair as alt

    drawn = [_curve_point(curve, point) for curve in curves for point in curve.points]
    kinds = [kind for kind in KIND_COLORS if any(point["kind"] == kind for point in drawn)]
    ratios = [point["expansion_ratio"] for point in drawn]
    base = alt.Chart(axes.values(drawn)).encode(x=axes.ratio_x(ratios), color=_color(kinds))
    band = [
        known.mark_area(opacity=0.16).encode(y=alt.Y("low:Q"), y2="high:Q")
        for known in axes.with_interval(base, drawn, "low", "high")
    ]
    height = alt.Y("score:Q", title=f"mean {kept}, % of unpruned").scale(zero=False)
    lines = base.mark_line().encode(y=height, strokeDash=_dash(kinds))
    marks = base.mark_point(size=60).encode(y=height, shape=_shape(kinds))
    columns = _POINT | {"score": f"{kept}, %"}
    marks = axes.with_tooltip(marks, columns, numbers=("score", "low", "high"))
    chart = axes.layered(axes.zero_layer(100), *axes.star_layers(ratios), *band, lines, marks)
    return Figure(
        id=figure_id("kinds", model),
        title=f"{model}: mean {kept.noun} by kind of task",
        caption=f"{kept.meaning} over the expansion ratio: mean over the tasks of a kind. "
        "Bands reach from the lowest to the highest task; they are not confidence intervals.",
        alt=f"Line chart of the mean {kept} of {', '.join(kinds)} tasks of {model} over the expansion ratio.",
        section=Section.PRUNING,
        spec=axes.specification(chart.properties(width="container", height=axes.HEIGHT)),
        **figure_table(drawn, columns),
    )


def _curve_point(curve: Any, point: Any) -> dict[str, Any]:
    return {
        "kind": str(curve.kind),
        "expansion_ratio": point.expansion_ratio,
        "score": 100 * point.relative_score,
        "low": _percent(point.low),
        "high": _percent(point.high),
        "tasks": point.tasks,
    }


def _slopes(family: LevelSeries, trends: Sequence[Any], kept: Kept) -> Figure:
    import altair as alt

    drawn = sorted((_slope_point(trend) for trend in trends), key=lambda point: float(point["slope"]))
    tasks = [point["task"] for point in drawn]
    kinds = [kind for kind in KIND_COLORS if any(point["kind"] == kind for point in drawn)]
    base = alt.Chart(axes.values(drawn)).encode(
        y=alt.Y("task:N", title=None, sort=tasks).axis(grid=True, ticks=False), color=_color(kinds)
    )
    across = alt.X("slope:Q", title="% of unpruned per 1.0x removed").axis(grid=True, tickCount=8)
    bars = [
        known.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")
        for known in axes.with_interval(base, drawn, "low", "high")
    ]
    marks = base.mark_point(size=90).encode(x=across, shape=_shape(kinds))
    marks = axes.with_tooltip(marks, _SLOPE, numbers=("slope", "low", "high"))
    zero = alt.Chart(axes.values([{"slope": 0}])).mark_rule(style="zero-rule").encode(x="slope:Q")
    chart = axes.layered(zero, *bars, marks).properties(width="container", height=_ROW_HEIGHT * len(tasks))
    return Figure(
        id=figure_id("slopes", *id_parts(family)),
        title=f"{_named(family)}: slope of each task",
        caption=f"Change of the {kept} per 1.0x of expansion ratio removed, by least squares over the levels. "
        "Bars: 95 % intervals, from resampled items or from the regression (see the table).",
        alt=f"Forest plot of the slopes of {len(tasks)} tasks, from {tasks[0]} (steepest loss) to {tasks[-1]}.",
        section=Section.PRUNING,
        spec=axes.specification(chart),
        **figure_table(drawn, _SLOPE),
    )


def _slope_point(trend: Any) -> dict[str, Any]:
    return {
        "task": trend.task,
        "metric": trend.metric,
        "kind": str(trend.kind),
        "slope": 100 * trend.slope,
        "low": _percent(trend.slope_low),
        "high": _percent(trend.slope_high),
        "levels": trend.levels,
        "source": trend.source,
    }


def _named(family: LevelSeries) -> str:
    marked = only(family.limit, family.subset)
    return ", ".join([family.model, *family.words, *([marked] if marked else [])])


def _color(kinds: list[str]) -> Any:
    import altair as alt

    return alt.Color("kind:N", title=None).scale(domain=kinds, range=[KIND_COLORS[kind] for kind in kinds])


def _shape(kinds: list[str]) -> Any:
    import altair as alt

    return alt.Shape("kind:N", title=None).scale(domain=kinds, range=[KIND_SHAPES[kind] for kind in kinds])


def _dash(kinds: list[str]) -> Any:
    import altair as alt

    dashes = [KIND_DASHES[kind] for kind in kinds]
    return alt.StrokeDash("kind:N").scale(domain=kinds, range=dashes).legend(None)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _models(found: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(item.model for item in found))
