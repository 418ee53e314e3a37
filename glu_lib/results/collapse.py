"""Collapse: a score too large for tables is a result; it is recorded as its logarithm and is the worst of all."""

from __future__ import annotations

import math
from typing import Any

# The largest score that tables, figures and means take: at this size squares of ratios still fit in a float.
LIMIT = 1e60
LIMIT_TEXT = f"1e{math.log10(LIMIT):.0f}"
# Replaces a log-likelihood of -inf in resampled sums: 0 · -inf is NaN, while exp(1e300) overflows to infinity.
LOWEST_LOG_LIKELIHOOD = -1e300
_UNBOUNDED = ("perplexity", "bits_per_byte")  # suffixes of lm-eval metrics without an upper bound


class Overflowed(float):
    """exp(`exponent`) beyond the largest float: computes as infinity, and keeps its exponent."""

    exponent: float

    def __new__(cls, exponent: float) -> Overflowed:
        """Infinity with its logarithm attached."""
        made = super().__new__(cls, math.inf)
        made.exponent = exponent
        return made


def exp(exponent: float) -> float:
    """`math.exp`, but returns `Overflowed` where that raises OverflowError."""
    try:
        return math.exp(exponent)
    except OverflowError:
        return Overflowed(exponent)


def log_value(value: float) -> float | None:
    """Natural logarithm of a collapsed value; None if it is infinite (a token of probability 0) or not known."""
    if isinstance(value, Overflowed):
        return value.exponent
    return None if value == math.inf else math.log(value)


def is_unbounded(metric: str) -> bool:
    """Whether lm-eval's metric of this name has no upper bound, so that its values can collapse."""
    return metric.endswith(_UNBOUNDED)


def as_recorded(value: float, stderr: float | None, *, is_collapsed: bool) -> dict[str, Any]:
    """The record fields of a measured value: finite numbers or null, and the logarithm of a collapsed value.

    A standard error above `LIMIT` carries no information and becomes null.
    """
    is_known = stderr is not None and not is_collapsed and abs(stderr) <= LIMIT
    return {
        "value": None if is_collapsed or not math.isfinite(value) else value,
        "stderr": stderr if is_known else None,
        "is_collapsed": is_collapsed,
        "log_value": log_value(value) if is_collapsed else None,
    }


def read_recorded(
    metric: str, value: float | None, stderr: float | None, *, higher_is_better: bool | None
) -> dict[str, Any]:
    """The fields of `as_recorded` for a record of an early version, which holds a collapsed value as a number.

    Args:
        metric: lm-eval's name of the metric.
        value: the recorded value.
        stderr: its standard error.
        higher_is_better: the headline metric's better side; None for other metrics, whose name decides.
    """
    lower = is_unbounded(metric) if higher_is_better is None else not higher_is_better
    if not lower or value is None:
        return {"value": value, "stderr": stderr, "is_collapsed": False, "log_value": None}
    return as_recorded(value, stderr, is_collapsed=value > LIMIT)
