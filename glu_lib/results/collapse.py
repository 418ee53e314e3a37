"""Collapse: a score beyond what tables can hold is a result, kept as its logarithm and worse than every finite one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Beyond this no score lies that a table, a figure or a mean can hold: squares of ratios still fit in a float.
LIMIT = 1e60
LIMIT_TEXT = f"1e{math.log10(LIMIT):.0f}"
# What a log-likelihood of -inf counts as where sums are resampled: 0 · -inf is no number, and exp(1e300) is beyond all.
LOWEST_LOG_LIKELIHOOD = -1e300
_UNBOUNDED = ("perplexity", "bits_per_byte")  # ends of lm-eval's names of metrics that have no upper end
_NUMBER = (int, float)
_FIELDS = ("value", "stderr", "is_collapsed", "log_value")


class Overflowed(float):
    """exp(`exponent`) where that is beyond the largest float: infinite to all who compute with it."""

    exponent: float

    def __new__(cls, exponent: float) -> Overflowed:
        """Infinity that knows its logarithm."""
        made = super().__new__(cls, math.inf)
        made.exponent = exponent
        return made


def exp(exponent: float) -> float:
    """Python's `math.exp`; where that raises OverflowError, infinity that knows its logarithm."""
    try:
        return math.exp(exponent)
    except OverflowError:
        return Overflowed(exponent)


def log_value(value: float) -> float | None:
    """Natural logarithm of a collapsed value; None where it is infinite or not known (a token of probability 0)."""
    if isinstance(value, Overflowed):
        return value.exponent
    return None if value == math.inf else math.log(value)


def is_unbounded(metric: str) -> bool:
    """Whether a metric of lm-eval's of this name has no upper end, so that its values can collapse."""
    return metric.endswith(_UNBOUNDED)


def as_recorded(value: float, stderr: float | None, *, is_collapsed: bool) -> dict[str, Any]:
    """What records hold of a measured value: finite numbers or null, and the logarithm of one that has collapsed.

    A standard error above `LIMIT` says nothing and is null as well.
    """
    is_known = stderr is not None and not is_collapsed and abs(stderr) <= LIMIT
    return {
        "value": None if is_collapsed or not math.isfinite(value) else value,
        "stderr": stderr if is_known else None,
        "is_collapsed": is_collapsed,
        "log_value": log_value(value) if is_collapsed else None,
    }


def read_recorded(recorded: Mapping[str, Any], *, higher_is_better: bool | None) -> dict[str, Any]:
    """The same fields of a record's value. Records made before there were any hold a collapsed value as a number.

    What is no number is left as it stands, for the checks of soundness to name.

    Args:
        recorded: a value of a record.
        higher_is_better: of the task's headline metric; None for others, whose names tell it.
    """
    if "is_collapsed" in recorded:
        return {name: recorded.get(name) for name in _FIELDS}
    value, stderr = recorded["value"], recorded["stderr"]
    lower = is_unbounded(str(recorded["metric"])) if higher_is_better is None else higher_is_better is False
    if not lower or type(value) not in _NUMBER or type(stderr) not in (*_NUMBER, type(None)):
        return {"value": value, "stderr": stderr, "is_collapsed": False, "log_value": None}
    return as_recorded(value, stderr, is_collapsed=value > LIMIT)
