"""Skill: what a score holds above the best answer that does not follow the question."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.items import Items
from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.resampling import CONFIDENCE, FEWEST_ITEMS, RESAMPLES, RESAMPLING_SEED, resampled_scores
from glu_lib.analysis.significance import ALPHA, compare_samples
from glu_lib.errors import RecordError
from glu_lib.results.collapse import LIMIT


@dataclass(frozen=True, slots=True, eq=False)
class Blind:
    """The best control of one case: its name, its score, and its items' terms (items, terms).

    `p95` is the 95th percentile over the derangements, of the shuffle only.
    """

    control: str
    score: float
    terms: np.ndarray
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Skill:
    """A level's score over its blind score.

    `blind` and `control` are score and name of the best control. `value` is the skill, 1 unpruned and 0 blind, with its
    95 % interval; None if the unpruned model has no skill to lose, and without a baseline. `p` is that of 'equal to
    blind' (None: not tested), `is_blind` whether the score is not shown to be better than blind (None: not tested, and
    above it). `p95` is that of `Blind`.
    """

    blind: float
    control: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    is_blind: bool | None = None
    p95: float | None = None


def best_control(items: Items, names: Collection[str], *, higher_is_better: bool) -> Blind | None:
    """The control with the best score of those called `names`; None if the samples hold none of them.

    A perplexity beyond what tables can hold counts as `collapse.LIMIT`.
    """
    found = [
        Blind(name, min(items.score_of(terms.mean(axis=0)), LIMIT), terms.mean(axis=0), _percentile(items, terms))
        for name, terms in items.controls.items()
        if name in names
    ]
    if not found:
        return None
    return (max if higher_is_better else min)(found, key=lambda blind: blind.score)


def is_logarithmic(items: Items | Pairs) -> bool:
    """Whether skill is taken of logarithms: for perplexities."""
    return items.aggregation is Aggregation.PERPLEXITY


def skill_of(
    value: float,
    blind: float,
    unpruned: float,
    unpruned_blind: float,
    *,
    on_log_scale: bool,
    higher_is_better: bool = True,
) -> float | None:
    """(value − blind) / (unpruned − its blind); for perplexities log(blind / value) / log(its blind / unpruned).

    None if the unpruned score is not above blind. A perplexity above blind has 0: it holds less than the blind
    answer, and by how much has no bound.
    """
    values = (np.array([number], dtype=float) for number in (value, blind, unpruned, unpruned_blind))
    (skill,) = skills_of(*values, on_log_scale=on_log_scale, higher_is_better=higher_is_better)
    return None if math.isnan(skill) else float(skill)


def is_above(value: float, blind: float, *, higher_is_better: bool) -> bool:
    """Whether a score is on the better side of its blind score; an equal one is not."""
    return value > blind if higher_is_better else value < blind


def against_blind(
    items: Items, blind: Blind, *, higher_is_better: bool, resamples: int = RESAMPLES, seed: int = RESAMPLING_SEED
) -> Skill:
    """Whether a case's score is better than its blind score, item by item.

    The paired test of `compare_samples`, at 5 % and two-sided: a score that is worse than blind is not better.

    Raises:
        RecordError: if there are too few items.
    """
    if len(items.keys) < FEWEST_ITEMS:
        raise RecordError(f"{items.case}: {len(items.keys)} items; a comparison with blind needs {FEWEST_ITEMS}")
    pairs = pairs_of(items, blind.terms, items.terms)
    found = compare_samples(pairs, resamples=resamples, seed=seed)
    before, after = map(float, pairs.scores)
    is_better = is_above(after, before, higher_is_better=higher_is_better) and found.p < ALPHA
    return Skill(blind.score, blind.control, p=found.p, is_blind=not is_better, p95=blind.p95)


def untested(value: float | None, blind: Blind, *, higher_is_better: bool) -> Skill:
    """What can be said of a score with too few items for a test: blind if it is not above its blind score.

    A `value` of None is a collapsed perplexity.
    """
    is_open = value is not None and is_above(value, blind.score, higher_is_better=higher_is_better)
    return Skill(blind.score, blind.control, is_blind=None if is_open else True, p95=blind.p95)


def with_skill(
    found: Skill,
    items: Items,
    blind: Blind,
    baseline: Items,
    baseline_blind: Blind,
    *,
    higher_is_better: bool,
    resamples: int = RESAMPLES,
    seed: int = RESAMPLING_SEED,
) -> Skill:
    """`found` with the skill and its interval: all four scores on the same resampled items.

    The interval is the percentile interval of `skill_of` over the resamples (Efron and Tibshirani, 1993, chapter 13).
    Resamples in which the unpruned model falls to blind have no skill: `conservative_interval`.
    """
    pairs = pairs_of(items, baseline_blind.terms, baseline.terms, blind.terms, items.terms)
    unpruned_blind, unpruned, own_blind, value = map(float, pairs.scores)
    how = {"on_log_scale": is_logarithmic(items), "higher_is_better": higher_is_better}
    point = skill_of(value, own_blind, unpruned, unpruned_blind, **how)
    if point is None:
        return found
    scores = resampled_scores(pairs, resamples=resamples, seed=seed)
    skills = skills_of(scores[:, 3], scores[:, 2], scores[:, 1], scores[:, 0], **how)
    low, high = conservative_interval(skills) or (None, None)
    if (
        point == 0 and high == 0 and how["on_log_scale"]
    ):  # cut off at 0, as its resamples are: the interval says no more
        low = high = None
    return replace(found, value=point, low=low, high=high)


def skills_of(
    values: np.ndarray,
    blinds: np.ndarray,
    unpruned: np.ndarray,
    unpruned_blind: np.ndarray,
    *,
    on_log_scale: bool,
    higher_is_better: bool,
) -> np.ndarray:
    """`skill_of` for arrays of resampled scores; NaN where the unpruned model is not better than blind."""
    values, blinds, unpruned, unpruned_blind = (
        np.minimum(scores, LIMIT) for scores in (values, blinds, unpruned, unpruned_blind)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        if on_log_scale:
            whole = np.log(unpruned_blind / unpruned)
            part = np.maximum(0.0, np.log(blinds / values))
        else:
            sign = 1 if higher_is_better else -1
            whole, part = sign * (unpruned - unpruned_blind), sign * (values - blinds)
        skills: np.ndarray = np.where(whole > 0, part / whole, np.nan)
    return skills


def conservative_interval(values: np.ndarray) -> tuple[float, float] | None:
    """The 95 % percentile interval, each undefined value (NaN) counted against both of its ends.

    None if so many are undefined that an end is one: the unpruned lead over blind is too small to be a unit.
    """
    tail = (1 - CONFIDENCE) / 2
    low = np.sort(np.where(np.isnan(values), -np.inf, values))[math.ceil(tail * len(values)) - 1]
    high = np.sort(np.where(np.isnan(values), np.inf, values))[math.ceil((1 - tail) * len(values)) - 1]
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None


def pairs_of(items: Items, *terms: np.ndarray) -> Pairs:
    """Several terms (items, terms) of the same items, as models to resample together."""
    return Pairs(
        cases=(items.case,) * len(terms),
        aggregation=items.aggregation,
        terms=np.stack(terms),
        subtasks=items.subtasks,
        weights=items.weights,
    )


def _percentile(items: Items, terms: np.ndarray) -> float | None:
    """95th percentile of the scores of several versions (versions, items, terms) of a control; None of one."""
    return float(np.percentile([items.score_of(version) for version in terms], 95)) if len(terms) > 1 else None


def control_scores(items: Items) -> Mapping[str, float]:
    """The score of each control of a case, by name."""
    return {name: items.score_of(terms.mean(axis=0)) for name, terms in items.controls.items()}


def skill_columns(skill: Skill | None) -> dict[str, Any]:
    """The columns of the tidy table that a skill fills; empty without controls."""
    if skill is None:
        return {}
    return {
        "blind": skill.blind,
        "blind_control": skill.control,
        "blind_p95": skill.p95,
        "skill": skill.value,
        "skill_low": skill.low,
        "skill_high": skill.high,
        "p_blind": skill.p,
        "is_blind": skill.is_blind,
    }
