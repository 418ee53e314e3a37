"""Change of each task's score against the baseline over the expansion ratio, per model and for all models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.level_series import LevelSeries
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study.architecture import format_ratio

CHANGE_COLUMNS = {
    "task": "task",
    "metric": "metric",
    "level": "level",
    "expansion_ratio": "expansion ratio",
    "value": "score",
    "change": "change, %",
    "low": "95 % from, %",
    "high": "to, %",
    "p_holm": "p, Holm-adjusted",
}
# Columns of a tooltip: the score is text, because it may have collapsed.
TOLD = {"score" if name == "value" else name: title for name, title in CHANGE_COLUMNS.items()}
_FEWEST_LEVELS = 3  # fewer make no curve; `methods` compares single levels
CHANGE_NUMBERS = ("change", "low", "high", "p_holm")
_CHANGE = "change against the baseline, %"
_MEANING = "Perplexities enter as baseline / value, so that down is worse for every task"
_ALL_LOST = -100.0  # per cent; of a collapsed score, baseline / value is 0


def change_percent(row: dict[str, Any], delta: float | None) -> float | None:
    """Change of the score in per cent of its baseline; positive is better.

    The formula is delta / baseline. For metrics where lower is better it is baseline / (baseline + delta) - 1, which
    stays above -100 %. None without a baseline, or if the baseline or the value is not above 0.
    """
    baseline = row["baseline"]
    if delta is None or baseline is None or baseline <= 0:
        return None
    if row["higher_is_better"]:
        return float(100 * delta / baseline)
    return float(100 * (baseline / (baseline + delta) - 1)) if baseline + delta > 0 else None


def score_change(row: dict[str, Any]) -> float | None:
    """`change_percent` of a row's own change; -100 for a collapsed value, which has no numeric change."""
    has_baseline = row["baseline"] is not None and row["baseline"] > 0
    return _ALL_LOST if row.get("is_collapsed") and has_baseline else change_percent(row, row["delta"])


def score_interval(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """`change_percent` of both ends of a change's interval, lower end first; -100 for a collapsed end."""
    low, high = (
        _ALL_LOST if row.get(name) is None and row.get("p") is not None else change_percent(row, row.get(name))
        for name in ("delta_low", "delta_high")
    )
    # Where lower is better, the lower end of delta is the upper end of the score.
    return (low, high) if row["higher_is_better"] else (high, low)


def collapse_note(drawn: Iterable[dict[str, Any]], place: str) -> str:
    """A sentence for the caption if the figure shows collapsed values, otherwise empty."""
    text = f" Crosses {place}: the perplexity has collapsed (above {LIMIT_TEXT}, or infinite)."
    return text if any(point["is_collapsed"] for point in drawn) else ""


def points(found: HeadlineTable) -> list[dict[str, Any]]:
    """The points to draw: one dictionary per task and level, tasks in the table's order."""
    cells = [found.cells.get((task, percent)) for task in found.tasks for percent, _ in found.levels]
    return [point for row in cells if row is not None and (point := _point(row))["change"] is not None]


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
    base = alt.Chart(axes.values(drawn)).encode(x=axes.ratio_x(ratios), opacity=opacity)
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

    cells = [found.cells.get((task, percent)) for task in found.tasks for percent, _ in found.levels]
    rows = [row for row in cells if row is not None and not row["higher_is_better"]]
    finite = [row["value"] for row in rows if row["value"]]
    if not finite:
        return []
    edge, has_collapsed = axes.edge(finite), any(row.get("is_collapsed") for row in rows)
    places = [(row, edge if row.get("is_collapsed") else row["value"]) for row in rows]
    drawn = [_point(row) | {"height": place} for row, place in places if place]
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


def _point(row: dict[str, Any]) -> dict[str, Any]:
    low, high = score_interval(row)
    is_collapsed = bool(row.get("is_collapsed"))
    return {
        "task": row["subject"],
        "metric": row["metric"],
        "level": f"p{row['percent']}",
        "expansion_ratio": row["expansion_ratio"],
        "value": number.score(row) if is_collapsed else row["value"],
        "score": number.score(row),
        "is_collapsed": is_collapsed,
        "change": score_change(row),
        "low": low,
        "high": high,
        "p_holm": row.get("p_holm"),
    }


def _interval(drawn: list[dict[str, Any]]) -> str:
    if all(point["low"] is None for point in drawn):
        return "No intervals are known"
    return "Bars: 95 % intervals of the change on the same items"


def _extremes(drawn: list[dict[str, Any]]) -> str:
    narrowest = min(point["expansion_ratio"] for point in drawn)
    last = sorted((p for p in drawn if p["expansion_ratio"] == narrowest), key=lambda point: float(point["change"]))
    worst, best = last[0], last[-1]
    return (
        f"At {format_ratio(narrowest)}, {worst['task']} has changed by {number.percent(worst['change'])} "
        f"and {best['task']} by {number.percent(best['change'])}."
    )


def id_parts(found: HeadlineTable | LevelSeries) -> Sequence[str | None]:
    """Parts of a figure's id, for `figure_id`."""
    return (
        found.model,
        found.method,
        f"layers{found.layers}" if found.layers else None,
        f"d{found.divisor}" if found.divisor else None,
        f"limit{found.limit}" if found.limit else None,
    )


def distinct(records: Iterable[dict[str, Any]], name: str) -> list[str]:
    """The values of one field, each once, in order."""
    return list(dict.fromkeys(str(record[name]) for record in records))
