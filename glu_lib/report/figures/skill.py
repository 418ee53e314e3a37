"""Skill of each task over the expansion ratio: what is left above blind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.table import level_text, row_level
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.change import interval_bars
from glu_lib.report.figures.change_points import distinct
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table, id_parts
from glu_lib.report.skills import unskilled
from glu_lib.study.architecture import format_ratio

_COLUMNS = {
    "task": "task",
    "metric": "metric",
    "level": "level",
    "expansion_ratio": "expansion ratio",
    "score": "score",
    "blind": "blind score",
    "control": "best blind answer",
    "skill": "skill",
    "low": "95 % from",
    "high": "to",
    "p_blind": "p, score = blind",
}
_NUMBERS = ("skill", "low", "high", "p_blind")
_FEWEST_LEVELS = 3  # fewer make no curve
_LOWEST, _HIGHEST = -1.0, 2.0  # bars are cut here, unless a point lies beyond
_MARGIN = 0.1


def skill_figures(tables: Iterable[HeadlineTable]) -> list[Figure]:
    """One figure per table with skills at three levels or more, p0 included."""
    figures = []
    for found in tables:
        cells = [found.cells.get((task, level)) for task in found.tasks for level, _ in found.levels]
        drawn = [_point(row) for row in cells if row is not None and row.get("skill") is not None]
        if len({point["expansion_ratio"] for point in drawn}) >= _FEWEST_LEVELS:
            figures.append(_figure(found, drawn))
    return figures


def _figure(found: HeadlineTable, drawn: list[dict[str, Any]]) -> Figure:
    import altair as alt

    ratios, tasks = [point["expansion_ratio"] for point in drawn], distinct(drawn, "task")
    lowest, highest, is_cut = _domain(drawn)
    pick, opacity = axes.highlight("task")
    placed = axes.side_by_side(drawn, "task")
    base = alt.Chart(axes.values(placed)).encode(x=axes.ratio_x(ratios, field="place"), opacity=opacity)
    height = alt.Y("skill:Q", title="skill").scale(domain=[lowest, highest], nice=False)
    color = axes.color("task", tasks)
    lines = base.mark_line().encode(y=height, color=color, strokeDash=axes.dash("task", tasks))
    marks = base.mark_point().encode(y=height, color=color, shape=axes.shape("task", tasks))
    marks = axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS)
    bars = interval_bars(base, drawn, color)
    layers = [*_references(), *axes.star_layers(ratios), *axes.highlighted(pick, *bars, lines, marks)]
    chart = axes.layered(*layers).properties(width="container", height=axes.HEIGHT)
    return Figure(
        id=figure_id("skill", *id_parts(found)),
        title=f"{found.title}: skill of each task",
        caption="Skill over the expansion ratio: (score − blind) / (unpruned score − its blind score), for "
        f"perplexities of their logarithms. {_told(drawn, is_cut=is_cut)}{_left_out(found)}",
        alt=f"Line chart of the skill of {len(tasks)} tasks over {len(set(ratios))} expansion ratios. "
        f"{_extremes(drawn)}",
        section=Section.PRUNING,
        spec=axes.specification(chart),
        **figure_table(drawn, _COLUMNS),
    )


def _references() -> list[Any]:
    """Labelled lines where a score is blind and where it is that of the unpruned model."""
    return [
        layer
        # Labels stand where curves seldom are: they begin at 1, and most end near 0.
        for skill, label, place, align, dx in ((0, "blind", 0, "left", 4), (1, "unpruned", "width", "right", -4))
        for layer in _reference(skill, label, place, align=align, dx=dx)
    ]


def _reference(skill: float, label: str, place: float | str, *, align: Any, dx: float) -> list[Any]:
    import altair as alt

    line = alt.Chart(axes.values([{"skill": skill, "label": label}])).encode(y=alt.Y("skill:Q"))
    text = line.mark_text(style="note-text", align=align, baseline="bottom", dx=dx, dy=-3)
    return [line.mark_rule(style="zero-rule"), text.encode(x=alt.value(place), text="label:N")]


def _domain(drawn: Sequence[dict[str, Any]]) -> tuple[float, float, bool]:
    """Lower and upper end of the axis, and whether it cuts an interval: one of a small lead over blind is wide."""
    skills = [point["skill"] for point in drawn]
    ends = [end for point in drawn for end in (point["low"], point["high"]) if end is not None]
    lowest = min([0.0, *skills, *(max(end, _LOWEST) for end in ends)])
    highest = max([1.0, *skills, *(min(end, _HIGHEST) for end in ends)])
    is_cut = any(not lowest <= end <= highest for end in ends)
    return lowest - _MARGIN, highest + _MARGIN, is_cut


def _told(drawn: Sequence[dict[str, Any]], *, is_cut: bool) -> str:
    if all(point["low"] is None for point in drawn):
        return "No intervals are known."
    cut = ", cut at the edge where they are wider" if is_cut else ""
    return f"Bars, tasks side by side: 95 % intervals, from resampled items{cut}."


def _left_out(found: HeadlineTable) -> str:
    tasks = [task for task in found.tasks if unskilled(found, task)]
    return (
        f" Not drawn, because unpruned they are not shown to be better than blind: {', '.join(tasks)}." if tasks else ""
    )


def _extremes(drawn: Sequence[dict[str, Any]]) -> str:
    narrowest = min(point["expansion_ratio"] for point in drawn)
    last = sorted((p for p in drawn if p["expansion_ratio"] == narrowest), key=lambda point: float(point["skill"]))
    worst, best = last[0], last[-1]
    return (
        f"At {format_ratio(narrowest)} it is {number.signed(worst['skill'])} for {worst['task']} and "
        f"{number.signed(best['skill'])} for {best['task']}; 0 is blind, 1 unpruned."
    )


def _point(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": row["subject"],
        "metric": row["metric"],
        "level": level_text(row_level(row)),
        "expansion_ratio": row["expansion_ratio"],
        "score": number.score(row),
        "blind": number.score({"value": row["blind"]}),
        "control": row["blind_control"],
        "skill": row["skill"],
        "low": row["skill_low"],
        "high": row["skill_high"],
        "p_blind": row["p_blind"],
    }
