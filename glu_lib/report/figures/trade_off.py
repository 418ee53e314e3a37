"""The trade-off between score and size: mean relative score against parameters and against joules per token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from glu_lib.analysis.table import level_text
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.figures.theme import BLUE, GREY, VERMILION
from glu_lib.report.skills import Kept
from glu_lib.study.architecture import format_ratio

_COLUMNS = {
    "model": "model",
    "label": "expansion ratio",
    "level": "level",
    "score": "mean relative score, %",
    "parameters": "parameters",
    "energy_per_token_j": "joules per token",
    "tokens_per_s": "tokens/s",
    "is_on_front": "on the front",
    "is_best": "best trade-off",
}
_BILLIONS = "replace(format(datum.value, '.3~s'), 'G', 'B')"  # 1.2B, 740M
_BEST, _FRONT, _BEATEN = "best trade-off", "on the front", "dominated"
_STANDING = {_BEST: (VERMILION, "diamond"), _FRONT: (BLUE, "circle"), _BEATEN: (GREY, "square")}
_SCORES: Mapping[str, Kept] = {}  # no model has controls
_COSTS = {"parameters": "parameters", "energy_per_token_j": "joules per token"}


def trade_off_figures(trade_offs: Iterable[Any], kept: Mapping[str, Kept] = _SCORES) -> list[Figure]:
    """Per model one figure for each cost that is known for at least two levels."""
    found = list(trade_offs)
    figures = []
    for model in dict.fromkeys(point.model for point in found):
        mine = [point for point in found if point.model == model]
        for cost in _COSTS:
            known = [point for point in mine if getattr(point, cost) is not None]
            figures += [_figure(model, cost, known, kept.get(model, Kept.SCORE))] if len(known) > 1 else []
    return figures


def _figure(model: str, cost: str, points: Sequence[Any], kept: Kept) -> Figure:
    import altair as alt

    title = _COSTS[cost]
    drawn = _with_front(sorted((_point(point) for point in points), key=lambda point: float(point[cost])))
    plain = alt.Axis(grid=True, tickCount=6)
    axis = alt.Axis(grid=True, tickCount=6, labelExpr=_BILLIONS) if cost == "parameters" else plain
    across = alt.X(f"{cost}:Q", title=title).scale(zero=False, padding=24)
    across = across.axis(axis)
    height = alt.Y("score:Q", title=f"mean {kept}, % of unpruned").scale(zero=False, padding=16)
    base = alt.Chart(axes.values(drawn)).encode(x=across, y=height)
    front = base.transform_filter("datum.is_on_front").mark_line(style="front").encode(order=f"{cost}:Q")
    present = [name for name in _STANDING if any(point["standing"] == name for point in drawn)]
    colors, shapes = zip(*(_STANDING[name] for name in present), strict=True)
    marks = base.mark_point(size=90).encode(
        color=alt.Color("standing:N", title=None).scale(domain=present, range=list(colors)),
        shape=alt.Shape("standing:N", title=None).scale(domain=present, range=list(shapes)),
    )
    columns = _COLUMNS | {"score": f"mean {kept}, %"}
    marks = axes.with_tooltip(marks, columns, numbers=("score", "energy_per_token_j", "tokens_per_s"))
    labels = base.mark_text(style="point-label", align="left", baseline="top", dx=7, dy=5).encode(text="label:N")
    chart = axes.layered(front, marks, labels).properties(width="container", height=axes.HEIGHT)
    best = [point["label"] for point in drawn if point["is_best"]]
    return Figure(
        id=figure_id("trade-off", model, cost),
        title=f"{model}: {kept.noun} against {title}",
        caption=f"{kept.meaning} against {title}, mean over tasks, one point per level, "
        "labelled with its expansion ratio. The line is the Pareto front: no other level is better in both.",
        alt=f"Scatter plot of {len(drawn)} levels; best trade-off: {', '.join(best) or 'not determined'}.",
        section=Section.PRUNING if cost == "parameters" else Section.ENERGY,
        spec=axes.specification(chart),
        **figure_table(drawn, columns),
    )


def _with_front(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark each point `is_on_front` if no cheaper point has an equal or better score; `drawn` is sorted by cost."""
    best, marked = float("-inf"), []
    for point in drawn:
        is_on_front = point["score"] > best
        best = max(best, point["score"])
        standing = _BEST if point["is_best"] else _FRONT if is_on_front else _BEATEN
        marked.append(point | {"is_on_front": is_on_front, "standing": standing})
    return marked


def _point(point: Any) -> dict[str, Any]:
    return {
        "model": point.model,
        "label": format_ratio(point.expansion_ratio),
        "level": level_text(point.level),
        "score": 100 * point.score,
        "parameters": point.parameters,
        "energy_per_token_j": point.energy_per_token_j,
        "tokens_per_s": point.tokens_per_s,
        "is_best": point.is_best,
    }
