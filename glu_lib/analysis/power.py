"""How small a change n items can show, and how many items a change needs."""

from __future__ import annotations

import math
from statistics import NormalDist

ALPHA = 0.05
POWER = 0.8
_FEWEST_CHANGED = 6  # five items that all change one way have p = 0.0625 in the exact test


def _quantiles(power: float) -> tuple[float, float]:
    normal = NormalDist()
    return normal.inv_cdf(1 - ALPHA / 2), normal.inv_cdf(power)


def detectable(low: float | None, high: float | None, power: float = POWER) -> float | None:
    """The smallest change that a comparison with this 95 % interval would show with probability `power`.

    (z(0.975) + z(power)) · standard error, with the standard error that the interval's width stands for (Cohen,
    Statistical Power Analysis for the Behavioral Sciences, 1988): 1.43 times half of the interval at 80 %. None without
    an interval.
    """
    if low is None or high is None:
        return None
    alpha, beta = _quantiles(power)
    return (alpha + beta) * (high - low) / 2 / alpha


def items_needed(change: float, discordant: float, power: float = POWER) -> int:
    """Items that McNemar's test needs to show a change of a share of right answers, two-sided at 5 %.

    n = (z(0.975) · √ψ + z(power) · √(ψ − δ²))² / δ², δ the change and ψ the share of items that change either way
    (Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43, 1987). At
    least as many that six items are expected to change: the exact test shows nothing with fewer.

    Args:
        change: δ, 0 < δ ≤ ψ.
        discordant: ψ, at most 1.
        power: probability that the change is seen.
    """
    alpha, beta = _quantiles(power)
    root = alpha * math.sqrt(discordant) + beta * math.sqrt(max(0.0, discordant - change**2))
    return max(math.ceil(root**2 / change**2), math.ceil(_FEWEST_CHANGED / discordant))


def smallest_change(items: int, discordant: float, power: float = POWER) -> float:
    """The smallest change that `items_needed` gives at most `items` for; `discordant` if none does."""
    low, high = 0.0, discordant
    for _ in range(60):
        middle = (low + high) / 2
        if middle > 0 and items_needed(middle, discordant, power) <= items:
            high = middle
        else:
            low = middle
    return high
