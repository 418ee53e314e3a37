"""Size and cost of each level of a table: parameters, MACs, bytes, peak memory, mean of the zero-shot tasks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from glu_lib.analysis.headline import HeadlineTable
from glu_lib.analysis.table import LevelKey, Row


@dataclass(frozen=True, slots=True)
class LevelSize:
    """Size and cost of one level, as in the columns of the same names; None where it is not known.

    `peak_memory_bytes` is the highest of the level's cases. `zero_shot_mean` is None if the levels of the table do not
    all have the same zero-shot tasks. `zero_shot_change` is (mean − p0's) / p0's; None for p0, and if one of the tasks
    was measured differently from p0.
    """

    level: LevelKey
    expansion_ratio: float
    parameters: int | None
    prefill_macs_per_token: int | None
    decode_macs_per_token: int | None
    weights_bytes: int | None
    kv_cache_bytes_per_token: int | None
    peak_memory_bytes: int | None
    zero_shot_mean: float | None
    zero_shot_change: float | None


_OWN = ("level", "expansion_ratio", "peak_memory_bytes", "zero_shot_mean", "zero_shot_change")
_SHARED = tuple(field.name for field in fields(LevelSize) if field.name not in _OWN)


def level_sizes(table: HeadlineTable) -> list[LevelSize]:
    """One size per level, in the order of the levels."""
    has_mean = len(zero_shot_sets(table)) == 1
    return [_size(level, ratio, list(_rows(table, level)), has_mean) for level, ratio in table.levels]


def zero_shot_sets(table: HeadlineTable) -> set[str | None]:
    """The zero-shot tasks of each level, as in the column `zero_shot_tasks`; None stands for a level without a mean.

    A row of another dtype, as of a task that is no zero-shot task, has none and does not count where others have.
    """
    found: set[str | None] = set()
    for level, _ in table.levels:
        found |= {row["zero_shot_tasks"] for row in _rows(table, level) if row.get("zero_shot_tasks")} or {None}
    return found


def _rows(table: HeadlineTable, level: LevelKey) -> Iterable[Row]:
    return (row for (_, found), row in table.cells.items() if found == level)


def _size(level: LevelKey, ratio: float, rows: list[Row], has_mean: bool) -> LevelSize:
    shared = {name: _one([row.get(name) for row in rows]) for name in _SHARED}
    peaks = [row["peak_memory_bytes"] for row in rows if row.get("peak_memory_bytes") is not None]
    averaged = next((row for row in rows if has_mean and row.get("zero_shot_tasks")), None)
    return LevelSize(
        level,
        ratio,
        **shared,
        peak_memory_bytes=max(peaks, default=None),
        zero_shot_mean=averaged["zero_shot_mean"] if averaged else None,
        zero_shot_change=_change(averaged, rows) if averaged and level else None,
    )


def _change(averaged: Row, rows: Sequence[Row]) -> float | None:
    """The mean's change against that of the same tasks at p0; None if one of them has no cell or no baseline."""
    tasks = averaged["zero_shot_tasks"].split()
    unpruned = [row["baseline"] for row in rows if row["subject"] in tasks and row.get("baseline") is not None]
    is_whole = len(unpruned) == len(tasks) and any(unpruned)
    return averaged["zero_shot_mean"] / statistics.fmean(unpruned) - 1 if is_whole else None


def _one(values: list[int | None]) -> int | None:
    """The value of all rows of a level that know it; None if they differ, as bytes do between dtypes."""
    known = set(values) - {None}
    return known.pop() if len(known) == 1 else None
