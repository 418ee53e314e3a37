"""The share of the lost skill that a checkpoint has recovered, with its interval over resampled items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glu_lib.analysis.items import Items
from glu_lib.analysis.pairing import pair
from glu_lib.analysis.resampling import resampled_scores
from glu_lib.analysis.skill import (
    against_blind,
    best_control,
    conservative_interval,
    is_logarithmic,
    pairs_of,
    skills_of,
)
from glu_lib.errors import RecordError

NO_CONTROLS = "its samples, or those beside it, hold no blind answers, so that skill is not known"
NO_SKILL = "p0 is not shown to be better than blind, so that no loss of skill can be shown"
NOTHING_LOST = "the 95 % interval of the pruned level's loss includes 0: nothing is known to be lost"


@dataclass(frozen=True, slots=True)
class RecoveredShare:
    """The share with its 95 % interval, or None and the reason why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def recovered_share(
    unpruned: Items, pruned: Items, checkpoint: Items, *, higher_is_better: bool, resamples: int, seed: int
) -> RecoveredShare:
    """(skill of the checkpoint − skill of the pruned level) / (1 − skill of the pruned level).

    1 is the skill of the unpruned model, so that the denominator is what pruning lost. 0: as the pruned level, 1: as
    the unpruned model; above 1 and below 0 are possible. The interval is the percentile interval of this ratio over
    resamples of the items, all scores and blind scores on the same items (Efron and Tibshirani, 1993, chapter 13). A
    resample in which nothing is lost, or the unpruned model falls to blind, has no share: `conservative_interval`.

    There is no share if the unpruned model is not shown to be better than blind, or if the 95 % interval of the loss
    includes 0.

    Args:
        unpruned: items of the baseline's p0.
        pruned: the same items at the pruned level of the checkpoint's widths.
        checkpoint: the same items of the checkpoint.
        higher_is_better: the metric's better side.
        resamples: number of resamples.
        seed: seed of the resamples.
    """
    found = (unpruned, pruned, checkpoint)
    names = set.intersection(*(set(items.controls) for items in found))
    blinds = [best_control(items, names, higher_is_better=higher_is_better) for items in found]
    try:
        pair(found)
        terms = [
            part for items, blind in zip(found, blinds, strict=True) if blind for part in (blind.terms, items.terms)
        ]
        if len(terms) < 2 * len(found) or blinds[0] is None:
            return RecoveredShare(reason=NO_CONTROLS)
        how = {"resamples": resamples, "seed": seed}
        if against_blind(unpruned, blinds[0], higher_is_better=higher_is_better, **how).is_blind:
            return RecoveredShare(reason=NO_SKILL)
        pairs = pairs_of(unpruned, *terms)
        scores = resampled_scores(pairs, **how)
    except RecordError as error:
        return RecoveredShare(reason=str(error))
    scale = {"on_log_scale": is_logarithmic(unpruned), "higher_is_better": higher_is_better}
    losses, shares = _losses_and_shares(scores, scale)
    lost, interval = conservative_interval(losses), conservative_interval(shares)
    (value,) = _losses_and_shares(pairs.scores[None, :], scale)[1]
    if lost is None or lost[0] <= 0 or interval is None or np.isnan(value):
        return RecoveredShare(reason=NOTHING_LOST)
    return RecoveredShare(float(value), *interval)


def _losses_and_shares(scores: np.ndarray, scale: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Lost skill and recovered share (resamples,) from scores (resamples, 6); NaN where they are not defined.

    The columns are blind score and score of the unpruned model, of the pruned level, and of the checkpoint.
    """
    unpruned_blind, unpruned, pruned_blind, pruned, own_blind, own = scores.T
    before = skills_of(pruned, pruned_blind, unpruned, unpruned_blind, **scale)
    after = skills_of(own, own_blind, unpruned, unpruned_blind, **scale)
    losses = 1 - before
    with np.errstate(divide="ignore", invalid="ignore"):
        return losses, np.where(losses > 0, (after - before) / losses, np.nan)
