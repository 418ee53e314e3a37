"""The floor of methods: each method's score beside random selection of as many neurons, on the same items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.items import Items, weighed_alike
from glu_lib.analysis.level_series import family_of
from glu_lib.analysis.pairing import Pairs, pair
from glu_lib.analysis.resampling import CONFIDENCE, resampled_scores
from glu_lib.analysis.significance import ALPHA, holm
from glu_lib.analysis.skill import is_logarithmic
from glu_lib.analysis.table import LevelKey, Row, row_level
from glu_lib.errors import RecordError
from glu_lib.results.collapse import LIMIT, is_unbounded
from glu_lib.study.methods import is_random

FEWEST_SEEDS = 2


class Verdict(StrEnum):
    """How a method compares with random selection."""

    BETTER = "better"
    WORSE = "worse"
    MIXED = "mixed"  # of a level: better in one task, worse in another
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class AgainstRandom:
    """One method at one level in one task, beside random selection at the same width.

    `value` is the method's score, `random_mean` the mean over the seeds of random selection (of perplexities the
    geometric mean), `random_low` and `random_high` the lowest and highest seed. `difference` is value − random_mean,
    for perplexities log(value / random_mean); `low` and `high` are its 95 % interval, `p` the p-value of 'there is no
    difference', `p_holm` p after Holm's correction over the tasks of the method at the level. They are None if there
    are fewer than two seeds, or if settings or items cannot be compared (`reason`). If only the method's perplexity has
    collapsed, there are p and p_holm, of a perplexity of `collapse.LIMIT` in its place, and no difference. `left_out`
    names a draw that was measured with other settings and does not count.
    """

    model: str
    method: str
    percent: float
    divisor: int | None
    layers: str | None
    limit: int | None
    expansion_ratio: float
    task: str
    metric: str
    higher_is_better: bool
    seeds: int
    value: float | None
    random_mean: float | None
    random_low: float | None
    random_high: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    reason: str = ""
    left_out: str = ""
    asked: str | None = None
    subset: str | None = None

    @property
    def level(self) -> LevelKey:
        """The level, which no other level of its family has."""
        return self.asked or self.percent

    @property
    def verdict(self) -> Verdict:
        """Better or worse if the difference is significant after Holm's correction and no draw is as good or as bad.

        Otherwise undecided. A single draw differs from the mean of the draws too, so the range of the draws counts.
        """
        if self.p_holm is None or self.p_holm >= ALPHA:
            return Verdict.UNDECIDED
        value, low, high = (math.inf if x is None else x for x in (self.value, self.random_low, self.random_high))
        if low <= value <= high:
            return Verdict.UNDECIDED
        return Verdict.BETTER if (value > high) == self.higher_is_better else Verdict.WORSE


def against_random(
    rows: Sequence[Row], items: Mapping[str, Items | str], *, resamples: int, seed: int
) -> list[AgainstRandom]:
    """Every method of one task compared with random selection of the same level, divisor and layers.

    Args:
        rows: headline rows of one (model, task, limit).
        items: the items of each row by its record, or the reason why there are none.
        resamples: resamples of the items.
        seed: seed of the resampling.
    """
    return [_compared(row, draws, items, resamples, seed) for row, draws in _beside_random(rows)]


def adjusted(found: Sequence[AgainstRandom]) -> list[AgainstRandom]:
    """The comparisons with p adjusted over the tasks of each method at each level, levels ascending in each model."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, item in enumerate(found):
        groups.setdefault(level_of(item), []).append(place)
    result = list(found)
    for places in groups.values():
        for place, p in zip(places, holm([found[place].p for place in places]), strict=True):
            result[place] = replace(found[place], p_holm=p)
    models = list(dict.fromkeys(item.model for item in result))
    return sorted(result, key=lambda item: (models.index(item.model), *_width(item)))


def _width(item: AgainstRandom) -> tuple[float, str, int, float]:
    """Sort key of a level: percentage, layers (all first), divisor (none first), limit (complete runs first)."""
    return (item.percent, item.layers or "", item.divisor or 0, item.limit or 0)


def level_of(item: AgainstRandom) -> tuple[str, str, LevelKey, int | None, str | None, int | None, str | None]:
    """Model, method, level, divisor, layers, limit and subset: what a verdict over tasks is about."""
    return (item.model, item.method, item.level, item.divisor, item.layers, item.limit, item.subset)


def verdict_over_tasks(items: Sequence[AgainstRandom]) -> Verdict:
    """The verdict on a method at a level: better if it is in a task and worse in none; mixed if both."""
    found = {item.verdict for item in items}
    if {Verdict.BETTER, Verdict.WORSE} <= found:
        return Verdict.MIXED
    return next((verdict for verdict in (Verdict.BETTER, Verdict.WORSE) if verdict in found), Verdict.UNDECIDED)


def _beside_random(rows: Sequence[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Each row of a method with the rows of random selection of the same width in the same layers."""
    # One set of layers may be written in two ways (`1-`, `-0`): its rows have other ids and the same layers.
    known = {(family_of(row), row_level(row), row["metric"], row["filter"]): row for row in reversed(rows)}
    pruned = [row for row in reversed(known.values()) if row["percent"]]
    for row in pruned:
        if is_random(row["method"]):
            continue
        same = replace(family_of(row), method=None)
        draws = [
            other
            for other in pruned
            if is_random(other["method"]) and replace(family_of(other), method=None) == same
            if (row_level(other), other["metric"], other["filter"]) == (row_level(row), row["metric"], row["filter"])
        ]
        if draws:
            yield row, draws


def _compared(
    row: Row, found_draws: Sequence[Row], items: Mapping[str, Items | str], resamples: int, seed: int
) -> AgainstRandom:
    is_log = row["metric"].endswith("perplexity")
    unlike = [_unlike(row, other) for other in found_draws]
    draws = [other for other, line in zip(found_draws, unlike, strict=True) if not line]
    values = [other["value"] for other in draws]
    known = [math.inf if value is None else float(value) for value in values]  # a collapsed perplexity has no value
    found = AgainstRandom(
        model=row["model"],
        method=row["method"],
        percent=row["percent"],
        asked=row.get("asked"),
        subset=row.get("subset"),
        divisor=row["divisor"],
        layers=row["layers"],
        limit=row["limit"],
        expansion_ratio=row["expansion_ratio"],
        task=row["subject"],
        metric=row["metric"],
        higher_is_better=bool(row["higher_is_better"]),
        seeds=len(draws),
        value=row["value"],
        random_mean=_mean(known, is_log=is_log) if known else None,
        random_low=_number(min(known)) if known else None,
        random_high=_number(max(known)) if known else None,
        left_out=next(filter(None, unlike), ""),
    )
    if len(draws) < FEWEST_SEEDS:
        few = f"one seed of random selection; at least {FEWEST_SEEDS} are needed"
        return replace(found, reason=found.left_out or few, left_out="")
    mine = [items[other["record"]] for other in (row, *draws)]
    readable = [item for item in mine if not isinstance(item, str)]
    if len(readable) < len(mine):
        return replace(found, reason=next(item for item in mine if isinstance(item, str)))
    try:
        pairs = pair(weighed_alike(readable))
        difference, low, high, p = _test(pairs, resamples, seed)
    except RecordError as error:
        return replace(found, reason=str(error))
    has_collapsed = (pairs.scores >= LIMIT) & is_unbounded(row["metric"])
    if has_collapsed[1:].any():
        return replace(found, reason="a random selection has collapsed, so there is no mean to compare with")
    if has_collapsed[0]:
        return replace(found, p=p)
    return replace(found, difference=difference, low=low, high=high, p=p)


def _unlike(row: Row, other: Row) -> str:
    """Why a method and a random selection cannot be compared, as one line; empty if they can."""
    differing = unlike_fields(row, other)
    return f"{other['case']}: {differing[0]} is not that of {row['case']}; run both again" if differing else ""


def _test(pairs: Pairs, resamples: int, seed: int) -> tuple[float, float, float, float]:
    """Difference of the first model to the mean of the others, its 95 % interval, and p.

    There are two sources of error: other items, and other draws of random neurons. The variance of the difference is
    the bootstrap variance over resampled items (draws fixed) plus the variance between draws / their number. With
    few draws the normal distribution would promise too much, so Student's t is used, with the degrees of freedom of
    Satterthwaite (An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946):
    v² / (v_draws² / (draws − 1)) for a sum v of an item variance known well and a variance v_draws of few draws.
    """
    from scipy.stats import t

    is_log = is_logarithmic(pairs)
    scores = resampled_scores(pairs, resamples=resamples, seed=seed)
    point = np.minimum(pairs.scores, LIMIT)
    if is_log:
        scores, point = np.log(scores), np.log(point)
    differences = scores[:, 0] - scores[:, 1:].mean(axis=1)
    difference = float(point[0] - point[1:].mean())
    of_items = float(differences.var(ddof=1))
    of_draws = float(point[1:].var(ddof=1)) / (len(point) - 1)
    variance = of_items + of_draws
    if variance == 0:
        return difference, difference, difference, 1.0 if difference == 0 else 2 / (resamples + 1)
    freedom = variance**2 / (of_draws**2 / (len(point) - 2)) if of_draws else math.inf
    error = math.sqrt(variance)
    margin = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return difference, difference - margin, difference + margin, float(2 * t.sf(abs(difference) / error, freedom))


def _mean(values: Sequence[float], *, is_log: bool) -> float | None:
    if not is_log:
        return _number(sum(values) / len(values))
    logs = [math.log(value) if value > 0 else math.inf for value in values]
    return _number(math.exp(mean)) if (mean := sum(logs) / len(logs)) < math.log(LIMIT) else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
