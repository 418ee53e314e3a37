"""Scores of all models over size: a panel per task with a curve per model, and the blind score as a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from glu_lib.analysis.level_series import family_of, only
from glu_lib.analysis.model_sizes import ModelSizes, SizedScore
from glu_lib.analysis.table import Row
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.change_points import distinct
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.same_size import row_name

_COLUMNS = {
    "panel": "task",
    "series": "model",
    "level": "level",
    "parameters": "parameters",
    "weights_bytes": "weights, bytes",
    "energy_per_token_j": "joules per token",
    "score": "score",
    "blind": "blind score",
    "skill": "skill",
}
_NUMBERS = ("score", "blind", "skill", "energy_per_token_j")
_COSTS = {
    "parameters": "parameters",
    "weights_bytes": "bytes of the weights",
    "energy_per_token_j": "joules per token",
}
_BILLIONS = "replace(format(datum.value, '.2~s'), 'G', 'B')"  # 1.2B, 740M
_FEWEST = 2  # levels of two models; one model alone is compared with nothing


def size_score_figures(found: Sequence[ModelSizes]) -> list[Figure]:
    """A figure for each limit and each cost that two models have.

    There is none over bytes where all weights have one dtype: it would be that over parameters.
    """
    figures = []
    for limit, subset in dict.fromkeys((sizes.limit, sizes.subset) for sizes in found):
        mine = [sizes for sizes in found if (sizes.limit, sizes.subset) == (limit, subset)]
        for cost in _COSTS:
            drawn = [point for sizes in mine for point in _points(sizes, cost)]
            if drawn and (cost != "weights_bytes" or _bytes_differ(drawn)):
                figures.append(_figure(cost, drawn, mine[0]))
    return figures


def _points(sizes: ModelSizes, cost: str) -> list[dict[str, Any]]:
    """The points of one panel; empty if fewer than two models have the cost and a finite score."""
    known = [
        point
        for item in sizes.scores
        for point in _of_series(item, sizes.scores)
        if point[cost] is not None and point["score"] is not None
    ]
    if len({point["model"] for point in known}) < _FEWEST:
        return []
    blinds = [point["blind"] for point in known if point["blind"] is not None]
    best = (max if sizes.scores[0].row["higher_is_better"] else min)(blinds, default=None)
    is_log = _is_log(sizes.scores[0].row["metric"])
    line = _height(best, is_log)
    # A panel without a blind score has its line at a score, and transparent: Vega warns of a layer without values.
    heights = [_height(point["score"], is_log) for point in known]
    return [
        point | {"height": height, "line": height if line is None else line, "has_line": line is not None}
        for point, height in zip(known, heights, strict=True)
    ]


def _panel(row: Row) -> str:
    metric = f"log {row['metric']}" if _is_log(row["metric"]) else row["metric"]
    return f"{row['subject']} ({metric} {'↑' if row['higher_is_better'] else '↓'})"


def _is_log(metric: str) -> bool:
    """Whether the logarithm is drawn: a blind perplexity is orders of magnitude above those of models."""
    return metric.endswith("perplexity")


def _height(score: float | None, is_log: bool) -> float | None:
    if score is None or not is_log:
        return score
    return math.log(score) if score > 0 else None


def _of_series(item: SizedScore, others: Sequence[SizedScore]) -> Iterator[dict[str, Any]]:
    """A level's point in its curve; p0 begins each curve of its model."""
    row = item.row
    ways = [tuple(family_of(row).words)]
    if row["percent"] == 0:
        pruned = [other.row for other in others if other.row["model"] == row["model"] and other.row["percent"] != 0]
        ways = list(dict.fromkeys(tuple(family_of(other).words) for other in pruned)) or ways
    for words in ways:
        yield {
            "panel": _panel(row),
            "model": row["model"],
            "series": ", ".join([row["model"], *words]),
            "level": row_name(row),
            "parameters": row["parameters"],
            "weights_bytes": row.get("weights_bytes"),
            "energy_per_token_j": item.energy_per_token_j,
            "score": row["value"],
            "blind": row.get("blind"),
            "skill": row.get("skill"),
        }


def _bytes_differ(drawn: Sequence[dict[str, Any]]) -> bool:
    return len({round(point["weights_bytes"] / point["parameters"], 3) for point in drawn}) > 1


def _figure(cost: str, drawn: list[dict[str, Any]], sizes: ModelSizes) -> Figure:
    import altair as alt

    series, panels = distinct(drawn, "series"), distinct(drawn, "panel")
    pick, opacity = axes.highlight("series")
    across = alt.X(f"{cost}:Q", title=None).scale(zero=False)
    labels = alt.Axis(tickCount=4) if cost == "energy_per_token_j" else alt.Axis(tickCount=4, labelExpr=_BILLIONS)
    base = alt.Chart().encode(
        x=across.axis(labels),
        y=alt.Y("height:Q", title=None).scale(zero=False).axis(tickCount=4),
        color=axes.color("series", series),
        opacity=opacity,
    )
    lines = base.mark_line(strokeWidth=1.75).encode(strokeDash=axes.dash("series", series), order=f"{cost}:Q")
    marks = base.mark_point(size=28).encode(shape=axes.shape("series", series))
    marks = axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS)
    seen = alt.condition("datum.has_line", alt.value(1), alt.value(0))
    rule = alt.Chart().mark_rule(style="zero-rule").encode(y=alt.Y("line:Q", title=None), strokeOpacity=seen)
    blind = [rule] if _has_blind(drawn) else []
    layers = axes.layered(*axes.highlighted(pick, lines, marks), *blind, data=axes.values(drawn))
    chart = (
        layers.properties(width=axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT)
        .facet(facet=alt.Facet("panel:N", title=None, sort=panels), columns=4)
        .resolve_scale(y="independent")
    )
    marked = f", {only(sizes.limit, sizes.subset)}" if sizes.limit else ""
    over = f"{_COSTS[cost]} ({sizes.workload})" if cost == "energy_per_token_j" else _COSTS[cost]
    told = " Horizontal line: the best blind score of these models." if blind else ""
    first = drawn[0]
    return Figure(
        id=figure_id("size", cost, f"limit{sizes.limit}" if sizes.limit else None, sizes.subset),
        title=f"All models over {_COSTS[cost]}{marked}",
        caption=f"Absolute score over {over}, one panel per task on the same items, one curve per model and method. "
        f"Differences of levels of about one size are tested in the table.{told} Of perplexities "
        "the natural logarithm is drawn; collapsed ones are left out.",
        alt=f"{len(panels)} small line charts over {_COSTS[cost]}, one per task, each with {', '.join(series)}; "
        f"{first['series']} {first['level']} has {number.plain_score(first['score'])} in {first['panel']}.",
        section=Section.ENERGY if cost == "energy_per_token_j" else Section.PRUNING,
        spec=axes.specification(chart),
        **figure_table(drawn, _COLUMNS),
    )


def _has_blind(drawn: Sequence[dict[str, Any]]) -> bool:
    return any(point["has_line"] for point in drawn)
