"""Standard errors of lm-eval's metrics by a vectorized bootstrap that takes milliseconds.

lm-eval draws each replicate with Python's random generator and evaluates the metric on a list. Here a mean is
resampled by index arrays. For metrics of labels, the counts of the distinct (gold, predicted) pairs are drawn from a
multinomial distribution, which is equivalent (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 6). The results differ from lm-eval's by the noise of the replicates, relatively 1 / sqrt(2·iterations).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glu_lib.results.collapse import exp

_CHUNK = 1 << 22  # random numbers drawn at once, to bound memory
_SEED = 0


def perplexity_stderr(logprobs: np.ndarray, iterations: int) -> float:
    """Standard error of exp(-mean) of log-probabilities (n,); infinite if it exceeds the largest float.

    It is computed as exp(m)·sd(exp(log - m)), where m is the largest replicate's logarithm, so that only the result
    can overflow.
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
    """Standard error of a statistic of the confusion counts of binary labels.

    Args:
        statistic: maps counts (iterations, 4) of the pairs 00, 01, 10, 11 to values (iterations,).
        pairs: (gold, predicted) labels of 0 and 1, shape (n, 2).
        iterations: number of replicates.
    """
    counts = np.bincount(2 * pairs[:, 0] + pairs[:, 1], minlength=4)
    drawn = np.random.default_rng(_SEED).multinomial(len(pairs), counts / len(pairs), size=iterations)
    return float(statistic(drawn.astype(float)).std(ddof=1))


def are_binary_pairs(items: Sequence[Any]) -> bool:
    """Whether items are (gold, predicted) pairs of 0 and 1."""
    array = np.asarray(items)
    return array.ndim == 2 and array.shape[1] == 2 and bool(np.isin(array, (0, 1)).all())
