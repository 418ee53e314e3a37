"""Aggregation of items to a score: their terms, found by metric and form, and the formula on sums of terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from glu_lib.errors import RecordError
from glu_lib.results.collapse import LOWEST_LOG_LIKELIHOOD
from glu_lib.study.label_metrics import f1_scores, matthews_correlations

_MINUS_INFINITY = "-inf"  # in samples: the log-likelihood of a text with a token of probability 0
LONGEST_SHOWN = 60  # characters of an unexpected value in a message


class Aggregation(StrEnum):
    """How items are aggregated to a score, with the formulas of lm-eval 0.4.13 (`lm_eval/api/metrics.py`).

    Each item is a row of terms, and a score is a function of the sums of these rows. One matrix product thus gives the
    sums of many resamples.
    """

    RATIO = "mean"  # items (x, 1): Σx / n; lists of booleans (ifeval's inst_level_*): Σ true / Σ length
    PERPLEXITY = "perplexity"  # items (log-likelihood, 1) or (log-likelihood, words): exp(-Σ ll / Σ weight)
    BITS_PER_BYTE = "bits_per_byte"  # items (log-likelihood, bytes): -Σ ll / Σ bytes / ln 2
    F1 = "f1"  # items: one of the four pairs (gold, predicted) of 0 and 1
    MCC = "matthews_corrcoef"  # items: as for F1

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Scores (…) from sums of terms (…, terms); not finite where a score is undefined or overflows."""
        if self in (Aggregation.F1, Aggregation.MCC):
            formula = f1_scores if self is Aggregation.F1 else matthews_correlations
            return formula(sums.reshape(-1, sums.shape[-1])).reshape(sums.shape[:-1])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio: np.ndarray = sums[..., 0] / sums[..., 1]
            if self is Aggregation.PERPLEXITY:
                ratio = np.exp(-ratio)
            return -ratio / math.log(2) if self is Aggregation.BITS_PER_BYTE else ratio


def terms_of(case: str, metric: str, values: list[Any]) -> tuple[Aggregation, np.ndarray]:
    """The aggregation of a metric and the terms of its items (items, terms), found by name and shape of the items.

    Raises:
        RecordError: if the items have none of the known forms.
    """
    for fits, aggregation, expand in _SHAPES:
        if all(fits(metric, value) for value in values):
            return aggregation, np.array([expand(value) for value in values], dtype=float)
    shown = repr(values[0])[:LONGEST_SHOWN]
    raise RecordError(f"{case}: {metric} has items such as {shown}, which cannot be paired; compare the scores alone")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_log_likelihood(value: Any) -> bool:
    return _is_number(value) or value == _MINUS_INFINITY


def _is_weighted(value: Any) -> bool:
    is_two = isinstance(value, list) and len(value) == 2
    return is_two and _is_log_likelihood(value[0]) and _is_number(value[1]) and value[1] > 0


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(label in (0, 1) for label in value)


def _is_flags(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(flag, bool) for flag in value)


def _log_likelihood(value: float | str) -> float:
    return LOWEST_LOG_LIKELIHOOD if isinstance(value, str) else max(value, LOWEST_LOG_LIKELIHOOD)


def _with_weight(value: list[Any]) -> list[float]:
    return [_log_likelihood(value[0]), value[1]]


def _one_hot(value: list[int]) -> list[float]:
    return [float(place == 2 * value[0] + value[1]) for place in range(4)]


# The first match is used, so metrics with their own aggregation come before the mean of numbers.
_SHAPES: tuple[tuple[Callable[[str, Any], bool], Aggregation, Callable[[Any], Sequence[float]]], ...] = (
    (lambda name, value: name == "mcc" and _is_pair(value), Aggregation.MCC, _one_hot),
    (lambda name, value: name == "f1" and _is_pair(value), Aggregation.F1, _one_hot),
    (lambda name, value: name == "bits_per_byte" and _is_weighted(value), Aggregation.BITS_PER_BYTE, _with_weight),
    (lambda name, value: name.endswith("perplexity") and _is_weighted(value), Aggregation.PERPLEXITY, _with_weight),
    (
        lambda name, value: name == "perplexity" and _is_log_likelihood(value),
        Aggregation.PERPLEXITY,
        lambda value: (_log_likelihood(value), 1),
    ),
    (lambda _, value: _is_flags(value), Aggregation.RATIO, lambda value: (sum(value), len(value))),
    (lambda _, value: _is_number(value), Aggregation.RATIO, lambda value: (value, 1)),
)


def score_of_terms(aggregation: Aggregation, terms: np.ndarray, subtasks: np.ndarray, weights: np.ndarray) -> float:
    """The score of terms (items, terms): the weighted mean of the sub-tasks' scores."""
    sums = np.stack([terms[subtasks == number].sum(axis=0) for number in range(len(weights))])
    return float(weights @ aggregation.score(sums) / weights.sum())
