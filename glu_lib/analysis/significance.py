"""Significance: paired tests of a level against its baseline item by item (exact McNemar, bootstrap, Holm)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.resampling import (
    CONFIDENCE,
    RESAMPLES,
    RESAMPLING_SEED,
    by_clusters,
    percentile_interval,
    resampled_scores,
    two_sided_p,
)
from glu_lib.results.collapse import LIMIT

ALPHA = 0.05  # a change is significant if its adjusted p is smaller


class Procedure(StrEnum):
    """The test that gave a p-value."""

    MCNEMAR = "exact McNemar"
    PAIRED = "paired bootstrap"
    CLUSTER = "cluster bootstrap"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A level against its baseline on the same items.

    `delta` is the level's score minus the baseline's, `delta_low` and `delta_high` its 95 % interval, `p` the
    two-sided p-value of 'no change', `pairs` the number of compared items. `delta` or an end of its interval is None if
    it exceeds `collapse.LIMIT`, because a perplexity has collapsed.
    """

    delta: float | None
    delta_low: float | None
    delta_high: float | None
    p: float
    test: str
    pairs: int


def compare_samples(pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = RESAMPLING_SEED) -> Comparison:
    """Compare two models on the same items.

    For the share of right answers of one task: exact McNemar test, and the interval of Bonett and Price. For all other
    scores: the bootstrap of `resampled_scores`, whose percentile interval and p-value agree with each other. In the
    bootstrap a collapsed perplexity is infinitely worse than a finite one.

    Args:
        pairs: the baseline and the level, in this order.
        resamples: number of resamples of the bootstrap.
        seed: seed of the bootstrap; the same seed gives the same figures.

    Raises:
        RecordError: if there are too few items for a bootstrap, or a resample has an undefined score.
    """
    baseline, value = map(float, pairs.scores)
    delta, count = _finite_or_none(value - baseline), pairs.terms.shape[1]
    if pairs.is_binary and not pairs.is_group:
        gained, lost = _discordant(pairs)
        low, high = paired_share_interval(gained, lost, count)
        return Comparison(delta, low, high, mcnemar_p(gained, lost), Procedure.MCNEMAR, count)
    scores = resampled_scores(pairs, resamples=resamples, seed=seed)
    deltas = _deltas(scores)
    low, high = percentile_interval(deltas)
    test = Procedure.CLUSTER if by_clusters(pairs) else Procedure.PAIRED
    return Comparison(delta, _finite_or_none(low), _finite_or_none(high), two_sided_p(deltas), test, count)


def _deltas(scores: np.ndarray) -> np.ndarray:
    """Changes (resamples,) from scores (resamples, 2): ±∞ if one score has collapsed, 0 if both have."""
    before, after = scores.T
    deltas = np.where(after >= LIMIT, np.inf, np.where(before >= LIMIT, -np.inf, after - before))
    return np.where((after >= LIMIT) & (before >= LIMIT), 0.0, deltas)


def _finite_or_none(delta: float) -> float | None:
    """The change, or None from `LIMIT` on: a value before or after it has collapsed."""
    return delta if abs(delta) < LIMIT else None


def mcnemar_p(gained: int, lost: int) -> float:
    """Two-sided exact p of McNemar's test: among the items that changed, both directions are equally likely.

    p = 2·P(X ≤ min(gained, lost)), X ~ Binomial(gained + lost, 1/2), at most 1 (McNemar, Note on the sampling error of
    the difference between correlated proportions, 1947). p is 1 if no item changed.
    """
    from scipy.stats import binomtest

    # The mid-p version (Fagerland, Lydersen and Laake, 2013) has more power, but its size may exceed 5 %. The size of
    # the exact test never does, and Holm's method relies on that.
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def paired_share_interval(gained: int, lost: int, count: int) -> tuple[float, float]:
    """95 % interval of the difference of two shares of the same `count` items.

    The adjusted Wald interval of Bonett and Price (Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, 2012) adds one to each number of changed items and two to the count:
    d ± z·√((a + b - d²) / (n + 2)), a = (gained + 1) / (n + 2), b = (lost + 1) / (n + 2), d = a - b, within [-1, 1].
    Its centre is slightly nearer to 0 than the difference itself.
    """
    from scipy.stats import norm

    size = count + 2
    more, less = (gained + 1) / size, (lost + 1) / size
    centre = more - less
    margin = float(norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((more + less - centre**2) / size)
    return max(-1.0, centre - margin), min(1.0, centre + margin)


def is_significant(row: Mapping[str, Any]) -> bool:
    """Whether a tidy row's change is significant at ALPHA after Holm's correction; False if it was not tested."""
    return row.get("p_holm") is not None and bool(row["p_holm"] < ALPHA)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (A simple sequentially rejective multiple test procedure, 1979).

    None stands for a change that was not tested; it stays None and is not part of the family.
    """
    # statsmodels' multipletests gives the same, but calls gc.collect() each time, which costs most of a small analysis.
    tested = np.array([p for p in p_values if p is not None], dtype=float)
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1)), 1.0)
    values = iter(adjusted.tolist())
    return [None if p is None else next(values) for p in p_values]


def _discordant(pairs: Pairs) -> tuple[int, int]:
    """Number of items that became right, and number that became wrong."""
    change = pairs.terms[1, :, 0] - pairs.terms[0, :, 0]
    return int(np.count_nonzero(change > 0)), int(np.count_nonzero(change < 0))
