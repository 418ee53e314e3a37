"""Headline tables for the page: one row per expansion ratio, one column per task; cells hold scores and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.significance import is_significant
from glu_lib.report import number
from glu_lib.report.figures.change import score_change
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

    `tint` goes from -1 (score lost) to 1 (score doubled) and is 0 without a baseline; `detail` gives interval and test.
    """

    score: str
    change: str
    is_significant: bool
    is_blind: bool
    tint: float
    detail: str


@dataclass(frozen=True, slots=True)
class WideRow:
    """The cells of one level."""

    level: str
    ratio: str
    cells: tuple[WideCell, ...]


@dataclass(frozen=True, slots=True)
class WideTable:
    """The table of one model, method, divisor and limit; the page folds a table that is not main."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[WideRow, ...]
    notes: tuple[str, ...]
    is_main: bool


def wide_table(found: HeadlineTable, *, is_main: bool = True) -> WideTable:
    """Convert a headline table to text cells with marks; the page's legend explains the marks."""
    rows = tuple(
        WideRow(
            f"p{percent}", format_ratio(ratio), tuple(_cell(found.cells.get((task, percent))) for task in found.tasks)
        )
        for percent, ratio in found.levels
    )
    rows += tuple(
        WideRow(name, format_ratio(ratio), tuple(map(_cell, mine))) for name, ratio, mine in found.control_lines
    )
    return WideTable(
        title=found.title,
        headings=tuple(_heading(found, task) for task in found.tasks),
        rows=rows,
        notes=tuple(found.notes),
        is_main=is_main,
    )


def levels_of_interest(found: HeadlineTable, ratio: float) -> int:
    """The percentage of the pruned level closest to the expansion ratio `ratio`."""
    pruned = [level for level in found.levels if level[0]] or list(found.levels)
    return min(pruned, key=lambda level: abs(level[1] - ratio))[0]


def cells_at(found: HeadlineTable, percent: int) -> Sequence[dict[str, Any]]:
    """The rows of one level with a value or a collapse, in the order of the tasks."""
    rows = [found.cells.get((task, percent)) for task in found.tasks]
    return [row for row in rows if row is not None and (row["value"] is not None or row.get("is_collapsed"))]


def _heading(found: HeadlineTable, task: str) -> Heading:
    row = next(row for (name, _), row in found.cells.items() if name == task)
    higher = row["higher_is_better"]
    return Heading(task, row["metric"], "↑" if higher else "↓", "higher is better" if higher else "lower is better")


def _cell(row: dict[str, Any] | None) -> WideCell:
    if row is None:
        return WideCell("–", "", False, False, 0.0, "no record")
    change = None if row["percent"] == 0 else score_change(row)
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
    return "; ".join(parts)


def _or_beyond(delta: float | None) -> str:
    """Format a tested change or an end of its interval; None means a change to a collapsed value."""
    return number.BEYOND if delta is None else number.plain(delta)
