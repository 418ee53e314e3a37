"""What the levels say together: curves of fragile and robust tasks, how tasks go together, the best trade-off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from glu_lib.analysis.resampling import CONFIDENCE
from glu_lib.analysis.table import Row
from glu_lib.analysis.trends import Sensitivity, Trend, by_task, relative_score

_FEWEST_FOR_R = 3  # two points always lie on a line
_FEWEST_FOR_INTERVAL = 4  # the standard error of Fisher's z is 1/√(n - 3)
_FEWEST_FOR_KNEE = 3


@dataclass(frozen=True, slots=True)
class GroupPoint:
    """Mean relative score of a kind's tasks at one level; `low` and `high` are the lowest and the highest task's.

    They are the range of the tasks, no interval of the mean; None with fewer than two.
    """

    expansion_ratio: float
    relative_score: float
    tasks: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GroupCurve:
    """The tasks of one kind of a model together, from the baseline downwards."""

    model: str
    kind: Sensitivity
    points: tuple[GroupPoint, ...]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r of two tasks' relative scores over the levels both were measured at; None where it is not defined.

    The levels are few and ordered, each pruned further than the last: p treats them as independent, and is the p that
    the published study prints. It says that two courses are alike or opposite, not that one causes the other.
    """

    model: str
    task_a: str
    task_b: str
    n: int
    r: float | None
    p: float | None
    r_low: float | None
    r_high: float | None


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One level: what is left of the scores, and what it costs.

    `score` is the mean over tasks of the relative scores. `energy_per_token_j` and `tokens_per_s` are means over
    workloads, None unless measured. `on_front`: no other level is as good in score, parameters and (where all levels
    have it) energy and better in one. `is_best`: the knee of the front, see `trade_offs`.
    """

    model: str
    expansion_ratio: float
    percent: int
    score: float
    parameters: int
    energy_per_token_j: float | None
    tokens_per_s: float | None
    on_front: bool
    is_best: bool


def group_curves(rows: Iterable[Row], trends: Iterable[Trend]) -> list[GroupCurve]:
    """One curve per kind from the rows and trends of one family (see `trends.families`).

    Mean over the kind's tasks of the relative score, each task counted once, whatever its number of items. Only tasks
    measured at all levels of the family count, so that no point differs from the next by its tasks.
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


def correlations(rows: Iterable[Row]) -> list[Correlation]:
    """Every pair of tasks of one family, over the levels at which both were measured.

    r of relative scores: that of the scores themselves for tasks where higher is better; perplexities enter as
    baseline / value, so that a positive r always means that both get worse together.
    """
    return [
        correlation(first, second)
        for (_, first), (_, second) in combinations(by_task(rows).items(), 2)
        if {row["percent"] for row in first} & {row["percent"] for row in second}
    ]


def correlation(first: Sequence[Row], second: Sequence[Row]) -> Correlation:
    """Pearson's r with Student's p and the interval of Fisher's z (On the 'probable error' of a coefficient, 1921).

    Fewer than three levels or a constant task: no r. Fewer than four: no interval.
    """
    from scipy.stats import pearsonr

    others = {row["percent"]: relative_score(row) for row in second}
    shared = [row for row in first if row["percent"] in others]
    a = np.array([relative_score(row) for row in shared], dtype=float)
    b = np.array([others[row["percent"]] for row in shared], dtype=float)
    found = Correlation(
        model=first[0]["model"],
        task_a=first[0]["subject"],
        task_b=second[0]["subject"],
        n=len(shared),
        r=None,
        p=None,
        r_low=None,
        r_high=None,
    )
    if len(shared) < _FEWEST_FOR_R or np.ptp(a) == 0 or np.ptp(b) == 0:
        return found
    result = pearsonr(a, b)
    found = replace(found, r=float(result.statistic), p=float(result.pvalue))
    if len(shared) < _FEWEST_FOR_INTERVAL:
        return found
    interval = result.confidence_interval(CONFIDENCE)
    return replace(found, r_low=float(interval.low), r_high=float(interval.high))


def trade_offs(rows: Iterable[Row], workload_rows: Iterable[Row] = ()) -> list[TradeOff]:
    """The levels of one family with their place on the Pareto front, the baseline first.

    The best level is the knee of score over parameters: of the front's points above the chord between its two ends, the
    one farthest from it, both axes scaled to the front's range (Das, On characterizing the 'knee' of the Pareto curve
    based on normal-boundary intersection, 1999). Energy decides on the front but not on the knee, so that the knee of a
    model does not hang on whether energy was measured. None is best where no point lies above the chord, which is so
    for a straight fall, or the front has fewer than three points.

    Args:
        rows: headline rows of one family; only tasks measured at all of its levels count.
        workload_rows: rows of kind `energy` of the same family; a figure is the mean over the workloads that have it at
            all levels.
    """
    tasks = list(_complete(rows).values())
    if not tasks:
        return []
    workloads = list(workload_rows)
    percents = [row["percent"] for row in tasks[0]]
    energies = _workload_means(workloads, "energy_per_token_j", percents)
    speeds = _workload_means(workloads, "tokens_per_s", percents)
    levels = [
        TradeOff(
            model=found[0]["model"],
            expansion_ratio=found[0]["expansion_ratio"],
            percent=found[0]["percent"],
            score=float(np.mean([relative_score(row) for row in found])),
            parameters=found[0]["parameters"],
            energy_per_token_j=energies.get(found[0]["percent"]),
            tokens_per_s=speeds.get(found[0]["percent"]),
            on_front=False,
            is_best=False,
        )
        for found in zip(*tasks, strict=True)
    ]
    levels = [replace(level, on_front=not any(_dominates(other, level) for other in levels)) for level in levels]
    best = _knee([level for level in levels if level.on_front])
    return [replace(level, is_best=level is best) for level in levels]


def _complete(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Tasks measured at all levels of a family."""
    tasks = by_task(rows)
    percents = {row["percent"] for levels in tasks.values() for row in levels}
    return {task: levels for task, levels in tasks.items() if len(levels) == len(percents)}


def _point(rows: Sequence[Row]) -> GroupPoint:
    scores = np.array([relative_score(row) for row in rows], dtype=float)
    several = len(scores) > 1
    return GroupPoint(
        expansion_ratio=rows[0]["expansion_ratio"],
        relative_score=float(scores.mean()),
        tasks=len(scores),
        low=float(scores.min()) if several else None,
        high=float(scores.max()) if several else None,
    )


def _workload_means(rows: Iterable[Row], metric: str, percents: Sequence[int]) -> dict[int, float]:
    """Mean of a figure over the workloads that have it at all levels, by per cent."""
    by_workload: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["kind"] == "energy" and row["metric"] == metric and row["value"] is not None:
            # Joules of unlike parts or sources are not set side by side.
            by_workload.setdefault(f"{row['subject']} {row.get('parts')}", {})[row["percent"]] = row["value"]
    complete = [values for values in by_workload.values() if set(percents) <= set(values)]
    if not complete:
        return {}
    return {percent: float(np.mean([values[percent] for values in complete])) for percent in percents}


def _costs(level: TradeOff) -> tuple[float, ...]:
    """What is to be small; all levels of a family have an energy, or none has."""
    energy = () if level.energy_per_token_j is None else (level.energy_per_token_j,)
    return (-level.score, level.parameters, *energy)


def _dominates(other: TradeOff, level: TradeOff) -> bool:
    pairs = list(zip(_costs(other), _costs(level), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _knee(front: Sequence[TradeOff]) -> TradeOff | None:
    """The point farthest above the chord between the front's smallest and largest model, or None."""
    if len(front) < _FEWEST_FOR_KNEE:
        return None
    sizes = np.array([level.parameters for level in front], dtype=float)
    scores = np.array([level.score for level in front])
    if np.ptp(sizes) == 0 or np.ptp(scores) == 0:
        return None
    x, y = (sizes - sizes.min()) / np.ptp(sizes), (scores - scores.min()) / np.ptp(scores)
    small, large = int(x.argmin()), int(x.argmax())
    # With x from 0 to 1 the distance to the chord is the height above it, times a constant.
    heights = y - (y[small] + (y[large] - y[small]) * x)
    best = int(heights.argmax())
    # Rounding alone lifts no point above the chord.
    return front[best] if heights[best] > 1e-9 else None
