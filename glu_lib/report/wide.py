"""Headline tables for the page: one row per expansion ratio, one column per task; cells hold scores and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.power import POWER
from glu_lib.analysis.significance import is_significant
from glu_lib.analysis.table import LevelKey, level_text
from glu_lib.report import number
from glu_lib.report.figures.change_points import score_change
from glu_lib.report.skills import (
    SKILL_TITLE,
    blind_at_p0,
    knows_blind,
    notes_of,
    skill_checkpoints,
    skill_interval,
    skill_levels,
    skill_notes,
    skill_tasks,
    skill_text,
)
from glu_lib.study.architecture import format_ratio


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: task, metric, and an arrow in the direction of better scores."""

    task: str
    metric: str
    arrow: str
    better: str


@dataclass(frozen=True, slots=True)
class WideCell:
    """A score and its change against p0 as text.

    `tint` goes from -1 (score lost) to 1 (score doubled) and is 0 without a baseline, and for a
    rise to a score that is not shown to be better than blind; `detail` gives interval and test.
    """

    score: str
    change: str
    is_significant: bool
    is_blind: bool
    tint: float
    detail: str


_EMPTY = WideCell("–", "", is_significant=False, is_blind=False, tint=0.0, detail="")


@dataclass(frozen=True, slots=True)
class WideRow:
    """The cells of one level, or of the blind answers."""

    level: str
    ratio: str
    cells: tuple[WideCell, ...]


@dataclass(frozen=True, slots=True)
class WideTable:
    """The table of one model, method, divisor and limit; the page folds a table that is not main.

    `skills` is the table of its skills, None without controls.
    """

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[WideRow, ...]
    notes: tuple[str, ...]
    is_main: bool
    skills: WideTable | None = None


def wide_table(found: HeadlineTable, *, is_main: bool = True) -> WideTable:
    """Convert a headline table to text cells with marks; the page's legend explains the marks.

    With controls, the last row holds the blind scores at p0.
    """
    rows = tuple(
        WideRow(
            level_text(level), format_ratio(ratio), tuple(_cell(found.cells.get((task, level))) for task in found.tasks)
        )
        for level, ratio in found.levels
    )
    checkpoints = [
        WideRow(name, format_ratio(ratio), tuple(map(_cell, mine))) for name, ratio, mine in found.checkpoint_lines
    ]
    controls = [
        WideRow(name, format_ratio(ratio), tuple(map(_cell, mine))) for name, ratio, mine in found.control_lines
    ]
    return WideTable(
        title=found.title,
        headings=tuple(_heading(found, task) for task in found.tasks),
        rows=(*rows, *checkpoints, *_blind_row(found), *controls),
        notes=tuple(notes_of(found)),
        is_main=is_main,
        skills=_skills(found) if skill_tasks(found) else None,
    )


def levels_of_interest(found: HeadlineTable, ratio: float) -> LevelKey:
    """The pruned level closest to the expansion ratio `ratio`."""
    pruned = [level for level in found.levels if level[0]] or list(found.levels)
    return min(pruned, key=lambda level: abs(level[1] - ratio))[0]


def cells_at(found: HeadlineTable, level: LevelKey) -> Sequence[dict[str, Any]]:
    """The rows of one level with a value or a collapse, in the order of the tasks."""
    rows = [found.cells.get((task, level)) for task in found.tasks]
    return [row for row in rows if row is not None and (row["value"] is not None or row.get("is_collapsed"))]


def _heading(found: HeadlineTable, task: str) -> Heading:
    row = next(row for (name, _), row in found.cells.items() if name == task)
    higher = row["higher_is_better"]
    return Heading(task, row["metric"], "↑" if higher else "↓", "higher is better" if higher else "lower is better")


def _blind_row(found: HeadlineTable) -> list[WideRow]:
    """The blind scores at p0, with the blind answer as detail; empty without controls."""
    if not knows_blind(found):
        return []
    controls = [(found.cells.get((task, 0)) or {}).get("blind_control") for task in found.tasks]
    cells = tuple(
        replace(_EMPTY, score=blind_at_p0(found, task), detail=f"best blind answer: {control}" if control else "")
        for task, control in zip(found.tasks, controls, strict=True)
    )
    return [WideRow("at p0", "blind", cells)]


def _skills(found: HeadlineTable) -> WideTable:
    tasks = skill_tasks(found)
    rows = tuple(
        WideRow(
            level_text(level), format_ratio(ratio), tuple(_skill_cell(found.cells.get((task, level))) for task in tasks)
        )
        for level, ratio in skill_levels(found)
    )
    checkpoints = tuple(
        WideRow(name, format_ratio(ratio), tuple(map(_skill_cell, mine)))
        for name, ratio, mine in skill_checkpoints(found)
    )
    return WideTable(
        title=f"{found.title}, {SKILL_TITLE}",
        headings=tuple(_heading(found, task) for task in tasks),
        rows=(*rows, *checkpoints),
        notes=tuple(skill_notes(found)),
        is_main=False,
    )


def _skill_cell(row: dict[str, Any] | None) -> WideCell:
    if row is None:
        return replace(_EMPTY, detail="no record")
    has_skill = row.get("skill") is not None
    tested = "" if row.get("p_blind") is None else f"p = {row['p_blind']:.2g} against blind, not corrected"
    return WideCell(
        score=skill_text(row).removesuffix("°"),
        change=skill_interval(row),
        is_significant=False,
        is_blind=bool(has_skill and row.get("is_blind")),
        tint=max(-1.0, min(1.0, row["skill"] - 1)) if has_skill else 0.0,
        detail=tested,
    )


def _cell(row: dict[str, Any] | None) -> WideCell:
    if row is None:
        return replace(_EMPTY, detail="no record")
    change = None if row["percent"] == 0 else score_change(row)
    if change and row.get("is_blind"):
        change = min(change, 0.0)  # a rise that only leads to blind is no better score
    return WideCell(
        score=number.score(row),
        change=number.change(row),
        is_significant=is_significant(row),
        is_blind=bool(row.get("is_blind")),
        tint=0.0 if change is None else max(-1.0, min(1.0, change / 100)),
        detail=_detail(row),
    )


def _detail(row: dict[str, Any]) -> str:
    parts = []
    if row.get("is_collapsed") and row["log_value"] is not None:
        parts.append(f"its natural logarithm is {number.plain(row['log_value'])}")
    if row.get("p") is not None:
        change, low, high = (_or_beyond(row[name]) for name in ("delta", "delta_low", "delta_high"))
        parts.append(f"change {change}, 95 % interval {low} to {high}")
    if row.get("p_holm") is not None:
        parts.append(f"p = {row['p_holm']:.2g} after Holm ({row['test']}, {row['pairs']} items)")
    if row.get("detectable") is not None and not is_significant(row):
        parts.append(
            f"smallest change seen with a probability of {100 * POWER:.0f} %: {number.plain(row['detectable'])}"
        )
    return "; ".join(parts)


def _or_beyond(delta: float | None) -> str:
    """Format a tested change or an end of its interval; None means a change to a collapsed value."""
    return number.BEYOND if delta is None else number.plain(delta)
