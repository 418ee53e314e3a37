"""Paired bootstrap of scores: every model is scored on the same resampled items or sub-tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from glu_lib.analysis.pairing import Pairs
from glu_lib.errors import RecordError
from glu_lib.results.collapse import LIMIT

RESAMPLES = 10_000
RESAMPLING_SEED = 0
CONFIDENCE = 0.95
# Fewer sub-tasks are strata and not resampled: a bootstrap of few clusters gives intervals that are far too short
# (Cameron, Gelbach and Miller, Bootstrap-based improvements for inference with clustered errors, 2008: below 20 to 30).
FEWEST_CLUSTERS = 20
# With fewer items, percentile intervals are too short as well, and p-values fall below those of a sign test.
FEWEST_ITEMS = 20

_CHUNK = 1 << 22  # numbers drawn at a time, 32 MiB; a few arrays of this size exist at once


def by_clusters(pairs: Pairs) -> bool:
    """Whether sub-tasks are resampled in place of items: in groups with many sub-tasks, as MMLU."""
    return len(pairs.weights) >= FEWEST_CLUSTERS


def resampled_scores(pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = RESAMPLING_SEED) -> np.ndarray:
    """Scores (resamples, models) of bootstrap resamples; each resample is the same for all models.

    Drawn with replacement are, for a single task, its items; for a group with fewer than `FEWEST_CLUSTERS` sub-tasks,
    m − 1 of the m items within each sub-task (one of one); for a larger group, whole sub-tasks with all their items.

    m draws from m items give (m − 1) / m of the variance of the mean, m − 1 draws all of it (Rao and Wu, Resampling
    inference with complex survey data, JASA 83, 1988). Drawing whole sub-tasks treats them as a sample of subjects:
    items of one subject share their difficulty, so drawing single items would overstate the number of independent items
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 8; Davison and Hinkley, Bootstrap
    Methods and their Application, 1997, section 3.8).

    A collapsed perplexity, of all items or of a resample, is replaced by `collapse.LIMIT`: it is worse than all finite
    scores and equal to other collapsed ones.

    Raises:
        RecordError: if there are fewer than `FEWEST_ITEMS` items or a score is not defined for a resample.
    """
    if pairs.terms.shape[1] < FEWEST_ITEMS:
        raise RecordError(
            f"{pairs.cases[-1]}: {pairs.terms.shape[1]} items; a bootstrap needs {FEWEST_ITEMS}: raise --limit, or the "
            "task's limit in the study"
        )
    rng = np.random.default_rng(seed)
    scores = _cluster_scores(pairs, resamples, rng) if by_clusters(pairs) else _item_scores(pairs, resamples, rng)
    if not np.isfinite(scores).all():
        raise RecordError(f"{pairs.cases[-1]}: a resample has no score; compare the scores alone")
    return scores


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The two-sided 95 % percentile interval of bootstrap values (resamples,) (Efron and Tibshirani, 1993, chapter 13).

    The interval is invariant under monotone changes of scale: it is the same for a perplexity and its logarithm. If
    some values are infinite, the ends are values themselves and not interpolated: nothing lies between a number and
    infinity.
    """
    tail = (1 - CONFIDENCE) / 2
    if np.isinf(values).any():
        ordered = np.sort(values)
        return float(ordered[math.ceil(tail * len(ordered)) - 1]), float(
            ordered[math.ceil((1 - tail) * len(ordered)) - 1]
        )
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def two_sided_p(values: np.ndarray) -> float:
    """Two-sided bootstrap p of 'the value is 0': 2·(b + 1) / (B + 1), at most 1.

    Of the B values, b is the smaller of the numbers at or below 0 and at or above 0. This corresponds to the percentile
    interval that just touches 0. The +1 counts the observed value, so that p is never 0 (Davison and Hinkley, 1997,
    sections 4.2 and 5.2).
    """
    smaller = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(values) + 1))


def _item_scores(pairs: Pairs, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Scores (resamples, models) of items resampled within each sub-task."""
    models, _, terms = pairs.terms.shape
    total = np.zeros((resamples, models))
    for number, weight in enumerate(pairs.weights):
        rows = pairs.terms[:, pairs.subtasks == number].transpose(1, 0, 2).reshape(-1, models * terms)
        size = max(1, len(rows) - 1) if pairs.is_group else len(rows)
        done = 0
        for sums in _resampled_sums(rows, size, resamples, rng):
            part = slice(done, done + len(sums))
            total[part] += weight * _scored(pairs, sums.reshape(-1, models, terms))
            done += len(sums)
    scores: np.ndarray = total / pairs.weights.sum()
    return scores


def _scored(pairs: Pairs, sums: np.ndarray) -> np.ndarray:
    """Scores (…) from sums of terms (…, terms), clipped at `collapse.LIMIT`."""
    scores: np.ndarray = np.minimum(pairs.aggregation.score(sums), LIMIT)
    return scores


def _cluster_scores(pairs: Pairs, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Scores (resamples, models) of resampled sub-tasks: Σ weight·score / Σ weight over the drawn sub-tasks."""
    groups = [pairs.terms[:, pairs.subtasks == number].sum(axis=1) for number in range(len(pairs.weights))]
    scores = _scored(pairs, np.stack(groups))  # (sub-tasks, models)
    rows = np.column_stack([pairs.weights[:, None] * scores, pairs.weights])
    sums = np.concatenate(list(_resampled_sums(rows, len(rows), resamples, rng)))
    means: np.ndarray = sums[:, :-1] / sums[:, -1:]
    return means


def _resampled_sums(rows: np.ndarray, size: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Sums over `size` draws with replacement from rows (n, columns), in chunks (a part of the resamples, columns).

    If few rows are distinct (right and wrong answers), their counts are drawn directly from a multinomial distribution.
    Otherwise indices are drawn and counted.
    """
    count = len(rows)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    few = len(distinct) * 8 <= count
    step = max(1, _CHUNK // (len(distinct) if few else count))
    for start in range(0, resamples, step):
        replicates = min(step, resamples - start)
        if few:
            yield rng.multinomial(size, counts / count, size=replicates).astype(float) @ distinct
        else:
            places = rng.integers(count, size=(replicates, size)) + count * np.arange(replicates)[:, None]
            drawn = np.bincount(places.ravel(), minlength=replicates * count).reshape(replicates, count)
            yield drawn.astype(float) @ rows
