"""Change of each task's score against the baseline over the expansion ratio, per model and for all models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.change_points import (
    CHANGE_COLUMNS,
    CHANGE_NUMBERS,
    TOLD,
    change_percent,
    collapse_note,
    distinct,
    point_of,
    points,
)
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table, id_parts
from glu_lib.study.architecture import format_ratio

_FEWEST_LEVELS = 3  # fewer make no curve; `methods` compares single levels
_CHANGE = "change against the baseline, %"
_MEANING = "Perplexities enter as baseline / value, so that down is worse for every task"


def change_figures(tables: Iterable[HeadlineTable]) -> list[Figure]:
    """Per table with three levels or more: one figure of changes, and one of perplexities on a logarithmic scale."""
    figures = []
    for found in tables:
        drawn = points(found)
        if len({point["expansion_ratio"] for point in drawn}) >= _FEWEST_LEVELS:
            figures += [_change_figure(found, drawn), *_perplexity_figure(found)]
    return figures


def model_figures(tables: Iterable[HeadlineTable]) -> list[Figure]:
    """All models in one figure, one panel per task that two models share; only full runs of PPM without divisor."""
    chosen = [found for found in tables if found.method and found.limit is None and found.family.is_main]
    drawn = [{"model": found.model, **point} for found in chosen for point in points(found)]
    models = {task: {point["model"] for point in drawn if point["task"] == task} for task in distinct(drawn, "task")}
    drawn = [point for point in drawn if len(models[point["task"]]) > 1]
    return [_models_figure(drawn)] if drawn else []


def _change_figure(found: HeadlineTable, drawn: list[dict[str, Any]]) -> Figure:
    import altair as alt

    ratios = [point["expansion_ratio"] for point in drawn]
    tasks = distinct(drawn, "task")
    pick, opacity = axes.highlight("task")
    placed = axes.side_by_side(drawn, "task")
    base = alt.Chart(axes.values(placed)).encode(x=axes.ratio_x(ratios, field="place"), opacity=opacity)
    height = alt.Y("change:Q", title=_CHANGE)
    color = axes.color("task", tasks)
    lines = base.mark_line().encode(y=height, color=color, strokeDash=axes.dash("task", tasks))
    marks = base.mark_point().encode(y=height, color=color, shape=axes.shape("task", tasks))
    marks = axes.with_tooltip(marks, TOLD, numbers=CHANGE_NUMBERS)
    series = axes.highlighted(pick, *interval_bars(base, drawn, color), lines, marks)
    crosses = axes.collapsed_marks(base, drawn, TOLD, numbers=CHANGE_NUMBERS, y=height)
    blind = _blind_marks(found, tasks, opacity)
    layers = [axes.zero_layer(), *axes.star_layers(ratios), *series, *crosses, *blind]
    chart = axes.layered(*layers).properties(width="container", height=axes.HEIGHT)
    return Figure(
        id=figure_id("change", *id_parts(found)),
        title=f"{found.title}: change of each task's score",
        caption=f"Change of each headline score against p0 over the expansion ratio. {_interval(drawn)}. {_MEANING}."
        f"{' Marks at the right edge: the blind scores at p0.' if blind else ''}{collapse_note(drawn, 'at −100 %')}",
        alt=f"Line chart of {len(tasks)} tasks over {len(set(ratios))} expansion ratios. {_extremes(drawn)}",
        section=Section.PRUNING,
        spec=axes.specification(chart),
        **figure_table(drawn, CHANGE_COLUMNS),
    )


def _blind_marks(found: HeadlineTable, tasks: Sequence[str], opacity: Any) -> list[Any]:
    """A short mark per task at the right edge, at the change of a blind score; empty without controls."""
    import altair as alt

    unpruned = [row for task in tasks if (row := found.cells.get((task, 0))) is not None]
    marks = [
        {"task": row["subject"], "blind": number.score({"value": row["blind"]}), "change": place}
        for row in unpruned
        if row.get("blind") is not None and row["value"] is not None
        if (place := change_percent(row | {"baseline": row["value"]}, row["blind"] - row["value"])) is not None
    ]
    if not marks:
        return []
    ticks = alt.Chart(axes.values(marks)).mark_tick(orient="horizontal", thickness=2.5, size=16, xOffset=-8)
    ticks = ticks.encode(x=alt.value("width"), y=alt.Y("change:Q"), color=axes.color("task", tasks), opacity=opacity)
    return [axes.with_tooltip(ticks, {"task": "task", "blind": "blind score"})]


def interval_bars(base: Any, drawn: list[dict[str, Any]], color: Any) -> list[Any]:
    """A bar from `low` to `high` at each point with an interval; empty if no point has one."""
    import altair as alt

    return [
        known.mark_rule(strokeWidth=1.25, clip=True).encode(y=alt.Y("low:Q"), y2="high:Q", color=color)
        for known in axes.with_interval(base, drawn, "low", "high")
    ]


def _perplexity_figure(found: HeadlineTable) -> list[Figure]:
    """Perplexities themselves: they grow by orders of magnitude, which the relative score hides.

    Collapsed perplexities are drawn at the upper edge.
    """
    import altair as alt

    cells = [found.cells.get((task, level)) for task in found.tasks for level, _ in found.levels]
    rows = [row for row in cells if row is not None and not row["higher_is_better"]]
    finite = [row["value"] for row in rows if row["value"]]
    if not finite:
        return []
    edge, has_collapsed = axes.edge(finite), any(row.get("is_collapsed") for row in rows)
    places = [(row, edge if row.get("is_collapsed") else row["value"]) for row in rows]
    drawn = [point_of(row) | {"height": place} for row, place in places if place]
    tasks, ratios = distinct(drawn, "task"), [point["expansion_ratio"] for point in drawn]
    pick, opacity = axes.highlight("task")
    base = alt.Chart(axes.values(drawn)).encode(
        x=axes.ratio_x(ratios),
        y=axes.log_y("height", finite, title="perplexity, logarithmic", edge=edge if has_collapsed else None),
        color=axes.color("task", tasks),
        opacity=opacity,
    )
    marks = axes.with_tooltip(base.mark_point().encode(shape=axes.shape("task", tasks)), TOLD, numbers=CHANGE_NUMBERS)
    lines = base.mark_line().encode(strokeDash=axes.dash("task", tasks))
    crosses = axes.collapsed_marks(base, drawn, TOLD, numbers=CHANGE_NUMBERS)
    chart = axes.layered(*axes.star_layers(ratios), *axes.highlighted(pick, lines, marks), *crosses)
    return [
        Figure(
            id=figure_id("perplexity", *id_parts(found)),
            title=f"{found.title}: perplexity",
            caption="Perplexity over the expansion ratio on a logarithmic scale; lower is better."
            + collapse_note(drawn, "at the upper edge"),
            alt=f"Line chart of the perplexity of {', '.join(tasks)}: from {drawn[0]['score']} unpruned.",
            section=Section.PRUNING,
            spec=axes.specification(chart.properties(width="container", height=220)),
            **figure_table(drawn, CHANGE_COLUMNS),
        )
    ]


def _models_figure(drawn: list[dict[str, Any]]) -> Figure:
    import altair as alt

    models, tasks = distinct(drawn, "model"), distinct(drawn, "task")
    ratios = [point["expansion_ratio"] for point in drawn]
    pick, opacity = axes.highlight("model")
    columns = {"model": "model", **CHANGE_COLUMNS}
    base = alt.Chart().encode(
        x=axes.ratio_x(ratios, title=None, ticks=axes.COMMON_RATIOS),
        y=alt.Y("change:Q", title=None).axis(tickCount=4),
        color=axes.color("model", models),
        opacity=opacity,
    )
    marks = base.mark_point(size=28).encode(shape=axes.shape("model", models))
    told = {"model": "model", **TOLD}
    marks = axes.with_tooltip(marks, told, numbers=CHANGE_NUMBERS)
    lines = base.mark_line(strokeWidth=1.75).encode(strokeDash=axes.dash("model", models))
    crosses = axes.collapsed_marks(base, drawn, told, numbers=CHANGE_NUMBERS)
    series = [*axes.highlighted(pick, lines, marks), *crosses]
    layers = axes.layered(*axes.star_layers(ratios)[:1], *series, data=axes.values(drawn))
    panels = layers.properties(width=axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT).facet(
        facet=alt.Facet("task:N", title=None, sort=tasks), columns=4
    )
    return Figure(
        id=figure_id("models"),
        title="All models compared",
        caption="Change against the baseline in per cent over the expansion ratio, one panel per task. Dotted line: "
        f"2.4x. {_MEANING}."
        f"{collapse_note(drawn, 'at −100 %')}",
        alt=f"{len(tasks)} small line charts, one per task, each with the models {', '.join(models)}.",
        section=Section.PRUNING,
        spec=axes.specification(panels),
        **figure_table(drawn, columns),
    )


def _interval(drawn: list[dict[str, Any]]) -> str:
    if all(point["low"] is None for point in drawn):
        return "No intervals are known"
    return "Bars, tasks side by side: 95 % intervals of the change on the same items"


def _extremes(drawn: list[dict[str, Any]]) -> str:
    narrowest = min(point["expansion_ratio"] for point in drawn)
    last = sorted((p for p in drawn if p["expansion_ratio"] == narrowest), key=lambda point: float(point["change"]))
    worst, best = last[0], last[-1]
    return (
        f"At {format_ratio(narrowest)}, {worst['task']} has changed by {number.percent(worst['change'])} "
        f"and {best['task']} by {number.percent(best['change'])}."
    )
