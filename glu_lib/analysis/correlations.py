"""Correlations between the tasks of a model over its levels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from glu_lib.analysis.level_series import by_task, retained
from glu_lib.analysis.resampling import CONFIDENCE
from glu_lib.analysis.table import Row, row_level

_FEWEST_FOR_R = 3  # with two points |r| is always 1
_ROUNDING = 1e-12  # relative
_FEWEST_FOR_INTERVAL = 4  # the standard error of Fisher's z is 1/√(n - 3)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r of two tasks' relative scores over their common levels; None where r is not defined.

    p is computed as in the published study: it treats the levels as independent, although they are few and ordered. r
    says that two curves run alike or opposite, not that one causes the other.
    """

    model: str
    task_a: str
    task_b: str
    n: int
    r: float | None
    p: float | None
    r_low: float | None
    r_high: float | None


def correlations(rows: Iterable[Row]) -> list[Correlation]:
    """The correlation of every pair of tasks of one family, over the levels at which both were measured.

    r is computed on skill, or on relative scores where no blind score is known. Where higher is better this equals r of
    the scores; perplexities enter as baseline / value, so that a positive r always means that both tasks get worse
    together. p is Student's, the interval that of Fisher's z (On the 'probable error' of a coefficient, 1921). r is
    None with fewer than three levels or a constant task, the interval with fewer than four levels.
    """
    tasks = by_task(rows)
    courses = {
        name: {row_level(row): value for row in found if (value := retained(row)) is not None}
        for name, found in tasks.items()
    }
    pairs: list[Correlation] = []
    shared: defaultdict[int, list[tuple[int, list[float], list[float]]]] = defaultdict(list)  # by number of levels
    for first, second in combinations(tasks, 2):
        both = [level for level in courses[first] if level in courses[second]]
        if both:
            values = [[courses[task][level] for level in both] for task in (first, second)]
            shared[len(both)].append((len(pairs), values[0], values[1]))
            pairs.append(Correlation(tasks[first][0]["model"], first, second, len(both), None, None, None, None))
    for levels, members in shared.items():
        if levels >= _FEWEST_FOR_R:
            for place, (r, p, low, high) in _computed(levels, members).items():
                pairs[place] = replace(pairs[place], r=r, p=p, r_low=low, r_high=high)
    return pairs


def _varies(values: np.ndarray) -> np.ndarray:
    """Which rows of (pairs, levels) are finite and vary beyond rounding."""
    scale = np.abs(values).max(axis=1)
    found: np.ndarray = np.isfinite(scale) & (np.ptp(values, axis=1) > _ROUNDING * scale)
    return found


def _computed(
    levels: int, members: Sequence[tuple[int, list[float], list[float]]]
) -> dict[int, tuple[float, float, float | None, float | None]]:
    """r, p and both ends of the interval for each pair (place, values, other values) whose tasks both vary, by place.

    All pairs in one call: thirty tasks make 435 pairs, and each call takes most of a millisecond.
    """
    from scipy.stats import pearsonr

    places = np.array([place for place, *_ in members])
    first, second = (np.array([member[side] for member in members]) for side in (1, 2))  # (pairs, levels)
    varies = _varies(first) & _varies(second)
    if not varies.any():
        return {}
    result = pearsonr(first[varies], second[varies], axis=1)
    lows = highs = [None] * int(varies.sum())
    if levels >= _FEWEST_FOR_INTERVAL:
        interval = result.confidence_interval(CONFIDENCE)
        lows, highs = interval.low.tolist(), interval.high.tolist()
    found = zip(result.statistic.tolist(), result.pvalue.tolist(), lows, highs, strict=True)
    return dict(zip(places[varies].tolist(), found, strict=True))
