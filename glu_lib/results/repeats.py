"""Summaries of repeated measurements: mean, sample standard deviation, 95 % t-interval, percentiles."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

_CONFIDENCE = 0.95
_PERCENTS = (50, 90, 99)


def summarize(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, sample standard deviation (n - 1) and two-sided 95 % t-interval of the mean, over the repeats.

    The interval is mean ± t(0.975, n - 1) · s / √n (Student, The probable error of a mean, 1908). With one repeat,
    deviation and interval are None. If a repeat has no value, all figures are None and `reason` says why.
    """
    from scipy.stats import t as student_t  # the import takes half a second, which listing cases should not pay

    known = [value for value in values if value is not None]
    empty = {"mean": None, "standard_deviation": None, "interval_low": None, "interval_high": None}
    if not known or len(known) < len(values):
        reason = f"{len(values) - len(known)} of {len(values)} repeats have no figure"
        return {**empty, "n": len(known), "reason": reason}
    mean = statistics.fmean(known)
    if len(known) == 1:
        return {**empty, "mean": mean, "n": 1}
    deviation = statistics.stdev(known)
    half = float(student_t.ppf((1 + _CONFIDENCE) / 2, len(known) - 1)) * deviation / len(known) ** 0.5
    return {
        "mean": mean,
        "standard_deviation": deviation,
        "interval_low": mean - half,
        "interval_high": mean + half,
        "n": len(known),
    }


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """`p50`, `p90` and `p99` with linear interpolation; None without values."""
    if not values:
        return {f"p{percent}": None for percent in _PERCENTS}
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in _PERCENTS}
