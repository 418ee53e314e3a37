"""Standard errors by bootstrap in milliseconds: lm-eval's resampling of its own metrics, vectorized.

lm-eval draws each replicate with Python's generator and evaluates the metric on the list. Here a mean is resampled
by index, and a metric of labels by the multinomial counts of its distinct (gold, predicted) pairs, which have the same
distribution (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6). Both estimates differ by the
noise of the replicates: 1 / sqrt(2·iterations), relative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glu_lib.results.collapse import exp

_CHUNK = 1 << 22  # numbers drawn at a time
_SEED = 0


def perplexity_stderr(logprobs: np.ndarray, iterations: int) -> float:
    """Standard error of exp(-mean) over log-probabilities (n,); infinite where it is beyond the largest float.

    Computed in units of the largest replicate, exp(m)·sd(exp(log - m)), so that only the result can overflow.
    """
    rng = np.random.default_rng(_SEED)
    size = len(logprobs)
    step = max(1, _CHUNK // size)
    replicates = [
        -logprobs[rng.integers(size, size=(min(step, iterations - start), size))].mean(axis=1)
        for start in range(0, iterations, step)
    ]
    logs = np.concatenate(replicates)
    largest = float(logs.max())
    if largest == math.inf:  # a token of probability 0
        return math.inf
    return exp(largest) * float(np.exp(logs - largest).std(ddof=1))


def label_stderr(statistic: Callable[[np.ndarray], np.ndarray], pairs: np.ndarray, iterations: int) -> float:
    """Standard error of a statistic of confusion counts over (gold, predicted) pairs of 0 and 1, (n, 2).

    Args:
        statistic: counts (iterations, 4) of the pairs 00, 01, 10, 11 to values (iterations,).
        pairs: the labels.
        iterations: replicates.
    """
    counts = np.bincount(2 * pairs[:, 0] + pairs[:, 1], minlength=4)
    drawn = np.random.default_rng(_SEED).multinomial(len(pairs), counts / len(pairs), size=iterations)
    return float(statistic(drawn.astype(float)).std(ddof=1))


def are_binary_pairs(items: Sequence[Any]) -> bool:
    """Whether items are (gold, predicted) pairs of 0 and 1."""
    array = np.asarray(items)
    return array.ndim == 2 and array.shape[1] == 2 and bool(np.isin(array, (0, 1)).all())
