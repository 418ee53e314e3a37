"""What it costs to choose the best of five controls on the items that it is scored on, simulated.

    python benchmarks/skill_simulation.py    # a second or two

Each control is an independent random answer, right in a quarter of the items. The level is right in as many items as
its true skill says, and independent of p0 and of the controls; both share the blind score. Real controls depend on each
other, and `uniform` is a mean without noise; what is lost there may be less.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np

CHANCE = 0.25
CONTROLS = 5
TRUE_SKILL = 0.5
RUNS = 200_000
SEED = 42


def main() -> None:
    """Print the figures that docs/methods/skill.md quotes."""
    print("\n".join(lines()))


def lines() -> Iterator[str]:
    """The figures, one a line."""
    draw = np.random.default_rng(SEED)
    for items, unpruned in ((300, 0.75), (300, 0.5), (50, 0.75), (50, 0.5)):
        found = median_skill(draw, items, unpruned)
        yield f"{items} items, p0 at {unpruned}: a true skill of {TRUE_SKILL} is estimated as {found:.2f} (median)"
    for items in (300, 50):
        one, several = (false_positives(draw, items, count) for count in (1, CONTROLS))
        shares = f"{100 * several:.2g} % with the best of {CONTROLS} controls, {100 * one:.1f} % with one"
        yield f"{items} items, a level that guesses is found better than blind: {shares}"


def median_skill(draw: np.random.Generator, items: int, unpruned: float) -> float:
    """Median of the estimated skill over the runs in which p0 is above blind."""
    blind = _best(draw, items, CONTROLS)
    p0 = draw.binomial(items, unpruned, RUNS)
    level = draw.binomial(items, CHANCE + TRUE_SKILL * (unpruned - CHANCE), RUNS)
    is_above = p0 > blind
    return float(np.median((level - blind)[is_above] / (p0 - blind)[is_above]))


def false_positives(draw: np.random.Generator, items: int, controls: int) -> float:
    """Share of the runs in which the exact McNemar test finds a random answer better than the best control."""
    blind = _best(draw, items, controls)
    gained = draw.binomial(items - blind, CHANCE)
    lost = draw.binomial(blind, 1 - CHANCE)
    most_lost = np.array([_most_lost(changed) for changed in range(items + 1)])
    return float(np.mean(lost <= most_lost[gained + lost]))


def _best(draw: np.random.Generator, items: int, controls: int) -> np.ndarray:
    """Right answers of the best control, (runs,)."""
    right: np.ndarray = draw.binomial(items, CHANCE, (RUNS, controls))
    best: np.ndarray = right.max(axis=1)
    return best


def _most_lost(changed: int) -> int:
    """Most items of `changed` that may be lost so that the gain has p < 0.05, two-sided; -1 if there are too few."""
    total, lost = 0, -1
    while 40 * (total + comb(changed, lost + 1)) < 2**changed:
        lost += 1
        total += comb(changed, lost)
    return lost


if __name__ == "__main__":
    main()
