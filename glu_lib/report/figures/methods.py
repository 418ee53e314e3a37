"""Pruning methods compared: the change of each task's score at a level that was run with several methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.level_series import LevelSeries
from glu_lib.report.figures import axes
from glu_lib.report.figures.change_points import CHANGE_COLUMNS, TOLD, collapse_note, points
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table, id_parts
from glu_lib.study import Method
from glu_lib.study.methods import is_random

_LEFT_OUT = ("level", "expansion_ratio", "p_holm")


def _with_method(columns: dict[str, str]) -> dict[str, str]:
    """The columns of a change at one level, with the method first."""
    return {"method": "method"} | {name: title for name, title in columns.items() if name not in _LEFT_OUT}


_COLUMNS, _TOLD = _with_method(CHANGE_COLUMNS), _with_method(TOLD)
_NUMBERS = ("change", "low", "high")
_ROW_HEIGHT, _METHOD_HEIGHT = 34, 11  # pixels: of a task, at least, and of each method in it


def method_figures(tables: Iterable[HeadlineTable]) -> list[Figure]:
    """One figure per model, layer set, sample limit and level with two methods or more; only without a divisor."""
    groups: dict[tuple[LevelSeries, str], list[dict[str, Any]]] = {}
    for found in tables:
        if found.method and found.divisor is None:
            for point in points(found):
                if point["level"] != "p0":
                    key = (replace(found.family, method=None), str(point["level"]))
                    # The seeds of random selection are points of one method.
                    method = str(Method.RANDOM) if is_random(found.method) else found.method
                    groups.setdefault(key, []).append({"method": method, **point})
    several = {key: drawn for key, drawn in groups.items() if len({point["method"] for point in drawn}) > 1}
    return [_figure(family, level, drawn) for (family, level), drawn in several.items()]


def _figure(family: LevelSeries, level: str, drawn: list[dict[str, Any]]) -> Figure:
    import altair as alt

    place = family.name_of(level)
    methods = list(dict.fromkeys(point["method"] for point in drawn))
    tasks = list(dict.fromkeys(point["task"] for point in drawn))
    pick, opacity = axes.highlight("method")
    base = alt.Chart(axes.values(drawn)).encode(
        y=alt.Y("task:N", title=None, sort=tasks).axis(grid=True, ticks=False, bandPosition=0),
        yOffset=alt.YOffset("method:N", sort=methods),
        color=axes.color("method", methods),
        opacity=opacity,
    )
    bars = [
        known.mark_rule(strokeWidth=1.25).encode(x=alt.X("low:Q"), x2="high:Q")
        for known in axes.with_interval(base, drawn, "low", "high")
    ]
    across = alt.X("change:Q", title="change, % of unpruned").axis(grid=True)
    marks = base.mark_point(size=46).encode(x=across, shape=axes.shape("method", methods))
    marks = axes.with_tooltip(marks, _TOLD, numbers=_NUMBERS)
    zero = alt.Chart(axes.values([{"change": 0}])).mark_rule(style="zero-rule").encode(x="change:Q")
    crosses = axes.collapsed_marks(base, drawn, _TOLD, numbers=_NUMBERS, x=across)
    chart = axes.layered(zero, *axes.highlighted(pick, *bars, marks), *crosses)
    return Figure(
        id=figure_id("methods", *id_parts(family), level),
        title=f"{family.model}: pruning methods at {place}",
        caption=f"Change of each headline score against p0 at {place}, by pruning method. Bars, where known: 95 % "
        "intervals. Perplexities enter as baseline / value. Random selection has a point for each seed."
        f"{collapse_note(drawn, 'at −100 %')}",
        alt=f"Dot plot of {len(tasks)} tasks comparing the methods {', '.join(methods)}.",
        section=Section.PRUNING,
        spec=axes.specification(
            chart.properties(width="container", height=max(_ROW_HEIGHT, _METHOD_HEIGHT * len(methods)) * len(tasks))
        ),
        **figure_table(drawn, _COLUMNS),
    )
