"""Pairing: the items of several levels side by side, the baseline first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glu_lib.analysis.aggregation import Aggregation, score_of_terms
from glu_lib.analysis.items import Items
from glu_lib.errors import RecordError


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The same items scored by several models: `terms` is (models, items, terms), the first model is the baseline."""

    cases: tuple[str, ...]
    aggregation: Aggregation
    terms: np.ndarray
    subtasks: np.ndarray
    weights: np.ndarray

    @property
    def is_binary(self) -> bool:
        """Whether every item is right or wrong (0 or 1), so that the score is a share of items."""
        values, counts = self.terms[..., 0], self.terms[..., 1]
        return self.aggregation is Aggregation.RATIO and bool((counts == 1).all() and np.isin(values, (0, 1)).all())

    @property
    def is_group(self) -> bool:
        """Whether the score is a mean over sub-tasks."""
        return len(self.weights) > 1

    @property
    def scores(self) -> np.ndarray:
        """Score of each model over all items, (models,)."""
        return np.array([score_of_terms(self.aggregation, terms, self.subtasks, self.weights) for terms in self.terms])


def pair(items: Sequence[Items]) -> Pairs:
    """Pair the items of several cases, the baseline first.

    Raises:
        RecordError: naming the case whose items differ from the baseline's.
    """
    baseline = items[0]
    for other in items[1:]:
        if (baseline.metric, baseline.aggregation) != (other.metric, other.aggregation):
            raise RecordError(f"{other.case}: metric {other.metric}, {baseline.case} has {baseline.metric}; {_REMEDY}")
        if baseline.keys != other.keys:
            differing = len(set(baseline.keys) ^ set(other.keys))
            raise RecordError(f"{other.case}: {differing} items are not in both it and {baseline.case}; {_REMEDY}")
        differing = sum(a != b for a, b in zip(baseline.hashes, other.hashes, strict=True))
        if differing:
            raise RecordError(f"{other.case}: {differing} documents differ from those of {baseline.case}; {_REMEDY}")
    return Pairs(
        cases=tuple(found.case for found in items),
        aggregation=baseline.aggregation,
        terms=np.stack([found.terms for found in items]),
        subtasks=baseline.subtasks,
        weights=baseline.weights,
    )


_REMEDY = "a comparison needs the same items: run both again on the same data"
