"""Trends: the slope of a task's score over the expansion ratio, its interval, and the task's kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from glu_lib.analysis.level_series import LevelSeries, by_task, families, retained
from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.resampling import CONFIDENCE, RESAMPLES, RESAMPLING_SEED, percentile_interval, resampled_scores
from glu_lib.analysis.skill import Blind, conservative_interval, is_logarithmic, skills_of
from glu_lib.analysis.table import Row
from glu_lib.errors import RecordError
from glu_lib.results.collapse import LIMIT

# A task is robust if it loses less than this share of its baseline per 1.0x of expansion ratio removed.
MARGIN = 0.05
FEWEST_LEVELS = 3


class Sensitivity(StrEnum):
    """Kind of a task: how its score reacts when the MLP gets narrower."""

    FRAGILE = "fragile"
    ROBUST = "robust"
    IMPROVING = "improving"
    UNDECIDED = "undecided"


class Source(StrEnum):
    """The data that the interval of a slope is computed from."""

    ITEMS = "items"
    LEVELS = "levels"


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend of one task over the levels of a family.

    `slope` is the change of the relative score (see `relative_score`) per 1.0x of expansion ratio removed, by least
    squares over all levels: -0.1 means that each 1.0x costs a tenth of the baseline. `slope_low` and `slope_high` are
    its 95 % interval, from a bootstrap of items (`source` 'items') or from the regression over the levels ('levels').
    With fewer than three levels the interval is None and the kind undecided; with fewer than two the slope is None too.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    limit: int | None
    task: str
    metric: str
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    kind: Sensitivity
    levels: int
    source: str
    subset: str | None = None

    @property
    def family(self) -> LevelSeries:
        """The family of its levels."""
        return LevelSeries(self.model, self.method, self.divisor, self.layers, self.limit, self.subset)


def level_trends(rows: Iterable[Row]) -> list[Trend]:
    """The trend of each task of each family from scores alone, for published tables without samples."""
    return [
        trend(family, levels)
        for family, found in families(rows).items()
        for levels in by_task(found).values()
        if levels
    ]


def trend(
    family: LevelSeries,
    levels: Sequence[Row],
    pairs: Pairs | None = None,
    blinds: Sequence[Blind] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = RESAMPLING_SEED,
) -> Trend:
    """The trend of one task.

    With `pairs`, each resample of the items is scored at all levels and gives one slope; the interval covers what other
    items of the same kind would have given at these levels. Without `pairs`, or if a resample gives no usable score,
    the interval is Student's interval of the regression slope over the levels
    (slope ± t(0.975, levels - 2)·standard error). It assumes levels scattered about a line and ignores the variation of
    items.

    Args:
        family: the family of the levels.
        levels: the task's rows, sorted by pruning percentage.
        pairs: the items of all levels in the same order, if known.
        blinds: the best controls of all levels in the same order; with them the slope is that of skill.
        resamples: number of resamples of the bootstrap.
        seed: seed of the bootstrap.
    """
    removed = np.array([levels[0]["expansion_ratio"] - row["expansion_ratio"] for row in levels])
    scores = np.array([retained(row) for row in levels])
    slope = float(_slopes(removed, scores)) if len(set(removed)) > 1 else None
    interval, source = None, Source.LEVELS
    if slope is not None and len(levels) >= FEWEST_LEVELS:
        is_skill = levels[0].get("blind") is not None
        interval = (
            _item_interval(removed, levels[0], pairs, blinds, resamples, seed, is_skill=is_skill) if pairs else None
        )
        source = Source.ITEMS if interval else Source.LEVELS
        interval = interval or _level_interval(removed, scores)
    low, high = interval or (None, None)
    return Trend(
        model=family.model,
        method=family.method,
        divisor=family.divisor,
        layers=family.layers,
        limit=family.limit,
        subset=family.subset,
        task=levels[0]["subject"],
        metric=levels[0]["metric"],
        slope=slope,
        slope_low=low,
        slope_high=high,
        kind=Sensitivity.UNDECIDED if low is None or high is None else classify(low, high),
        levels=len(levels),
        source=source,
    )


def classify(slope_low: float, slope_high: float, margin: float = MARGIN) -> Sensitivity:
    """The kind of a task, from the interval of its slope.

    Fragile: the whole interval is below -margin. Improving: it is above 0. Robust: it is above -margin, as in a
    non-inferiority test. Otherwise undecided: the measurement is too imprecise.
    """
    if slope_high < -margin:
        return Sensitivity.FRAGILE
    if slope_low > 0:
        return Sensitivity.IMPROVING
    return Sensitivity.ROBUST if slope_low > -margin else Sensitivity.UNDECIDED


def _slopes(removed: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Least-squares slopes of scores (…, levels) over `removed` (levels,)."""
    centred = removed - removed.mean()
    # `centred` sums to 0 only up to rounding; subtracting the first score gives constant scores a slope of exactly 0.
    slopes: np.ndarray = (scores - scores[..., :1]) @ centred / (centred @ centred)
    return slopes


def _item_interval(
    removed: np.ndarray,
    baseline: Row,
    pairs: Pairs,
    blinds: Sequence[Blind] | None,
    resamples: int,
    seed: int,
    *,
    is_skill: bool,
) -> tuple[float, float] | None:
    """Percentile interval of the slope; None if a resample has a baseline that is no unit: collapsed, 0, or blind."""
    if is_skill:
        if blinds is None:
            return None
        terms = np.concatenate([pairs.terms, np.stack([blind.terms for blind in blinds])])
        pairs = replace(pairs, terms=terms, cases=pairs.cases * 2)
    try:
        scores = resampled_scores(pairs, resamples=resamples, seed=seed)
    except RecordError:
        return None
    if is_skill:
        skills = _resampled_skills(scores, pairs, higher_is_better=baseline["higher_is_better"])
        return conservative_interval(_slopes(removed, skills))
    kept = _relative(scores, baseline)
    return None if kept is None else percentile_interval(_slopes(removed, kept))


def _resampled_skills(scores: np.ndarray, pairs: Pairs, *, higher_is_better: bool) -> np.ndarray:
    """Skills (resamples, levels) of scores (resamples, 2 · levels): those of the levels, then their blind ones."""
    values, blinds = np.split(scores, 2, axis=1)
    return skills_of(
        values,
        blinds,
        values[:, :1],
        blinds[:, :1],
        on_log_scale=is_logarithmic(pairs),
        higher_is_better=higher_is_better,
    )


def _relative(scores: np.ndarray, baseline: Row) -> np.ndarray | None:
    """Relative scores (resamples, levels), see `relative_score`."""
    first = scores[:, :1]
    unit, value = (first, scores) if baseline["higher_is_better"] else (scores, first)
    if not (unit > 0).all() or (first >= LIMIT).any():
        return None
    relative: np.ndarray = value / unit
    return relative


def _level_interval(removed: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Student's interval of the regression slope; scipy's linregress has no standard error for constant scores."""
    from scipy.stats import t

    slope, centred = float(_slopes(removed, scores)), removed - removed.mean()
    residuals = scores - scores.mean() - slope * centred
    error = np.sqrt(residuals @ residuals / (len(removed) - 2) / (centred @ centred))
    margin = float(t.ppf((1 + CONFIDENCE) / 2, len(removed) - 2) * error)
    return slope - margin, slope + margin
