"""How often a random draw is called better or worse than random selection, simulated.

    python benchmarks/random_floor_simulation.py    # about a minute

The "method" is one more draw from the same urn. Each draw has a true share of right answers, scattered about 0.5, and
100 items on top. The verdict is that of `analysis.random_floor` for one task: p below 0.05, outside the draws' range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.items import Items
from glu_lib.analysis.random_floor import Verdict, against_random

ITEMS, RUNS, RESAMPLES, SEED = 100, 500, 300, 42


def main() -> None:
    """Print the rates."""
    print("\n".join(lines()))


def lines() -> Iterator[str]:
    """The rates, one a line."""
    for scatter in (0.0, 0.05, 0.1):
        for seeds in (3, 10):
            rate = false_verdicts(np.random.default_rng(SEED), scatter, seeds)
            yield f"{seeds} seeds, true scores scattered by {scatter}: {100 * rate:.1f} % called better or worse"


def false_verdicts(rng: np.random.Generator, scatter: float, seeds: int) -> float:
    """Share of the runs in which one more draw gets a verdict other than undecided."""
    wrong = 0
    for _ in range(RUNS):
        shares = np.clip(rng.normal(0.5, scatter, size=seeds + 1), 0.02, 0.98)
        values = (rng.random((seeds + 1, ITEMS)) < shares[:, None]).astype(float)
        names = ["PPM", *(f"random{place}" for place in range(1, seeds + 1))]
        rows = [_row(name, float(found.mean())) for name, found in zip(names, values, strict=True)]
        items = {name: _items(name, found) for name, found in zip(names, values, strict=True)}
        (found,) = against_random(rows, items, resamples=RESAMPLES, seed=0)
        wrong += replace(found, p_holm=found.p).verdict is not Verdict.UNDECIDED
    return wrong / RUNS


def _row(name: str, value: float) -> dict[str, object]:
    same = {"model": "m", "percent": 10, "divisor": None, "layers": None, "limit": None, "expansion_ratio": 2.4}
    task = {"subject": "t", "metric": "acc", "filter": "none", "higher_is_better": True}
    return {**same, **task, "method": name, "value": value, "record": name}


def _items(name: str, values: np.ndarray) -> Items:
    count = len(values)
    return Items(
        case=name,
        metric="acc",
        aggregation=Aggregation.RATIO,
        keys=tuple(("t", place, "none") for place in range(count)),
        hashes=("",) * count,
        terms=np.stack([values, np.ones(count)], axis=-1),
        subtasks=np.zeros(count, dtype=int),
        weights=np.array([float(count)]),
    )


if __name__ == "__main__":
    main()
