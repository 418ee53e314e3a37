"""Claims over all levels of a model: curves of fragile and robust tasks, correlations of tasks, the best trade-off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glu_lib.analysis.level_series import by_task, retained
from glu_lib.analysis.table import LevelKey, Row, row_level
from glu_lib.analysis.trends import Sensitivity, Trend

_FEWEST_FOR_KNEE = 3


@dataclass(frozen=True, slots=True)
class GroupPoint:
    """Mean relative score of one kind of tasks at one level.

    `low` and `high` are the lowest and the highest relative score: the range of the tasks, not an interval of the mean.
    They are None with fewer than two tasks.
    """

    expansion_ratio: float
    relative_score: float
    tasks: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GroupCurve:
    """The mean curve of all tasks of one kind of a model, from the baseline to the narrowest level."""

    model: str
    kind: Sensitivity
    points: tuple[GroupPoint, ...]


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One level with its mean score and its costs.

    `score` is the mean relative score over tasks. `energy_per_token_j` and `tokens_per_s` are means over workloads,
    None unless measured. `on_front`: on the Pareto front of score, parameters and, if all levels have it, energy: no
    other level is at least as good in all of them and better in one. `is_best`: the knee of the front, see
    `trade_offs`.
    """

    model: str
    expansion_ratio: float
    level: LevelKey
    score: float
    parameters: int
    energy_per_token_j: float | None
    tokens_per_s: float | None
    on_front: bool
    is_best: bool


def group_curves(rows: Iterable[Row], trends: Iterable[Trend]) -> list[GroupCurve]:
    """One curve per kind of task, from the rows and trends of one family (see `level_series.families`).

    A point is the mean relative score over the kind's tasks; each task has the same weight, whatever its number of
    items. Only tasks measured at all levels of the family enter, so that all points cover the same tasks.
    """
    tasks = _complete(rows)
    kinds = {trend.task: trend.kind for trend in trends}
    curves = []
    for kind in Sensitivity:
        mine = [levels for task, levels in tasks.items() if kinds.get(task) is kind]
        if mine:
            points = tuple(_point(found) for found in zip(*mine, strict=True))
            curves.append(GroupCurve(mine[0][0]["model"], kind, points))
    return curves


def trade_offs(rows: Iterable[Row], workload_rows: Iterable[Row] = ()) -> list[TradeOff]:
    """The levels of one family, the baseline first, marked as on the Pareto front and as best.

    The best level is the knee of score over parameters: the point of the front farthest above the chord between the
    front's two ends, with both axes scaled to the front's range (Das, On characterizing the 'knee' of the Pareto curve
    based on normal-boundary intersection, 1999). Energy enters the front but not the knee, so that the knee does not
    depend on whether energy was measured. No level is best if no point lies above the chord, as in a straight fall, or
    if the front has fewer than three points.

    Args:
        rows: headline rows of one family; only tasks measured at all of its levels enter.
        workload_rows: rows of kind `energy` of the same family; a figure is the mean over the workloads that have it at
            all levels.
    """
    tasks = list(_complete(rows).values())
    if not tasks:
        return []
    workloads = list(workload_rows)
    keys = [row_level(row) for row in tasks[0]]
    energies = _workload_means(workloads, "energy_per_token_j", keys)
    speeds = _workload_means(workloads, "tokens_per_s", keys)
    levels = [
        TradeOff(
            model=found[0]["model"],
            expansion_ratio=found[0]["expansion_ratio"],
            level=row_level(found[0]),
            score=float(_kept(found).mean()),
            parameters=found[0]["parameters"],
            energy_per_token_j=energies.get(row_level(found[0])),
            tokens_per_s=speeds.get(row_level(found[0])),
            on_front=False,
            is_best=False,
        )
        for found in zip(*tasks, strict=True)
    ]
    levels = [replace(level, on_front=not any(_dominates(other, level) for other in levels)) for level in levels]
    best = _knee([level for level in levels if level.on_front])
    return [replace(level, is_best=level is best) for level in levels]


def _complete(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by task, only of tasks measured at all levels of a family."""
    tasks = by_task(rows)
    every = {row_level(row) for levels in tasks.values() for row in levels}
    return {task: levels for task, levels in tasks.items() if len(levels) == len(every)}


def _kept(rows: Sequence[Row]) -> np.ndarray:
    """What each row keeps, for a mean over tasks: a skill below 0 counts as 0, as a ratio has no lower bound."""
    kept: np.ndarray = np.maximum(0.0, np.array([retained(row) for row in rows], dtype=float))
    return kept


def _point(rows: Sequence[Row]) -> GroupPoint:
    scores = _kept(rows)
    several = len(scores) > 1
    return GroupPoint(
        expansion_ratio=rows[0]["expansion_ratio"],
        relative_score=float(scores.mean()),
        tasks=len(scores),
        low=float(scores.min()) if several else None,
        high=float(scores.max()) if several else None,
    )


def _workload_means(rows: Iterable[Row], metric: str, levels: Sequence[LevelKey]) -> dict[LevelKey, float]:
    """Mean of a figure over the workloads that have it at all levels, by level."""
    by_workload: dict[str, dict[LevelKey, float]] = {}
    for row in rows:
        if row["kind"] == "energy" and row["metric"] == metric and row["value"] is not None:
            # Joules of different parts or sources cannot be averaged, those of other devices or threads not compared.
            place = f"{row['subject']} {row.get('parts')} {row.get('device')} {row.get('measured_as')}"
            by_workload.setdefault(place, {})[row_level(row)] = row["value"]
    complete = [values for values in by_workload.values() if set(levels) <= set(values)]
    if not complete:
        return {}
    return {level: float(np.mean([values[level] for values in complete])) for level in levels}


def _costs(level: TradeOff) -> tuple[float, ...]:
    """The quantities to minimize; either all levels of a family have an energy or none has."""
    energy = () if level.energy_per_token_j is None else (level.energy_per_token_j,)
    return (-level.score, level.parameters, *energy)


def _dominates(other: TradeOff, level: TradeOff) -> bool:
    pairs = list(zip(_costs(other), _costs(level), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _knee(front: Sequence[TradeOff]) -> TradeOff | None:
    """The point farthest above the chord between the front's smallest and largest model; None if none is above it."""
    if len(front) < _FEWEST_FOR_KNEE:
        return None
    sizes = np.array([level.parameters for level in front], dtype=float)
    scores = np.array([level.score for level in front])
    if np.ptp(sizes) == 0 or np.ptp(scores) == 0:
        return None
    x, y = (sizes - sizes.min()) / np.ptp(sizes), (scores - scores.min()) / np.ptp(scores)
    small, large = int(x.argmin()), int(x.argmax())
    # The distance to the chord is proportional to the height above it, so the height is enough.
    heights = y - (y[small] + (y[large] - y[small]) * x)
    best = int(heights.argmax())
    # Not 0: rounding errors alone must not lift a point above the chord.
    return front[best] if heights[best] > 1e-9 else None
