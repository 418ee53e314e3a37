"""Models of about the same size: the paired test of a pruned level beside another model of as many parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from glu_lib.analysis.changes import files_of, read_case
from glu_lib.analysis.items import Items, weighed_alike
from glu_lib.analysis.level_series import LevelSeries
from glu_lib.analysis.pairing import pair
from glu_lib.analysis.remembered import STATISTICS, Remembered, has_its_types, state_of
from glu_lib.analysis.significance import ALPHA, compare_samples, holm
from glu_lib.analysis.size_pairs import by_items, same_size_pairs, unlike_settings
from glu_lib.analysis.table import LevelKey, Row
from glu_lib.errors import RecordError
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store


@dataclass(frozen=True, slots=True)
class SameSize:
    """A pruned level of one model beside a level of another model with about as many parameters, in one task.

    `delta` is the score of the level minus the other's, `delta_low` and `delta_high` its 95 % interval, `p` the p-value
    of 'there is no difference', `p_holm` p after Holm's correction over all comparisons of the same items' choice
    (limit and subset). They are None if the two cannot be compared (`reason`), or if a perplexity has collapsed.
    `record` and `other_record` are the rows' columns of that name.
    """

    task: str
    metric: str
    higher_is_better: bool
    limit: int | None
    subset: str | None
    model: str
    percent: float
    asked: str | None
    method: str | None
    divisor: int | None
    layers: str | None
    parameters: int
    value: float | None
    record: str
    other_model: str
    other_percent: float
    other_asked: str | None
    other_method: str | None
    other_parameters: int
    other_value: float | None
    other_record: str
    delta: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    test: str = ""
    pairs: int | None = None
    reason: str = ""

    @property
    def level(self) -> LevelKey:
        """The pruned level: `40`, `"2.4x"`."""
        return self.asked or self.percent

    @property
    def other_level(self) -> LevelKey:
        """The other model's level; 0 is unpruned."""
        return self.other_asked or self.other_percent

    @property
    def family(self) -> LevelSeries:
        """The family of the pruned level."""
        return LevelSeries(self.model, self.method, self.divisor, self.layers, self.limit, self.subset)

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant after Holm's correction."""
        return self.p_holm is not None and self.p_holm < ALPHA

    @property
    def is_better(self) -> bool | None:
        """Whether the pruned level is the better one; None if the difference is 0 or not known.

        A collapsed perplexity has no value: it is the worse one.
        """
        if self.delta is None:
            return None if self.value is self.other_value is None else self.other_value is None
        return None if self.delta == 0 else (self.delta > 0) == self.higher_is_better


def same_sizes(
    rows: Sequence[Row], store: Store, remembered: Remembered, *, resamples: int, seed: int
) -> list[SameSize]:
    """Compare all pairs of `same_size_pairs` on the same items.

    Args:
        rows: tidy rows, from `consolidate`.
        store: the results folder of these rows.
        remembered: saved comparisons, used if their records and samples are unchanged; new ones are put into it.
        resamples: number of resamples of each bootstrap.
        seed: seed of each bootstrap.
    """
    found: list[SameSize] = []
    for mine in by_items(rows).values():
        if both := same_size_pairs(mine):
            found += _compared(both, store, remembered, resamples, seed)
    return _adjusted(found)


def _compared(
    both: Sequence[tuple[Row, Row]], store: Store, remembered: Remembered, resamples: int, seed: int
) -> list[SameSize]:
    rows = list({row["record"]: row for members in both for row in members}.values())
    plain = [untested(*members) for members in both]
    key = state_of(files_of(rows, store), resamples, seed, [asdict(item) for item in plain], STATISTICS)
    if (known := _read(remembered.get(key), plain)) is not None:
        return known
    items = {row["record"]: read_case(row, store).items for row in rows}
    found = [
        with_test(
            item, unlike_settings(*members), [items[row["record"]] for row in members], resamples=resamples, seed=seed
        )
        for item, members in zip(plain, both, strict=True)
    ]
    remembered.put(key, [asdict(item) for item in found])
    return found


def with_test(
    found: SameSize,
    reason: str,
    items: Sequence[Items | str],
    *,
    resamples: int,
    seed: int,
    is_plain_shown: bool = False,
) -> SameSize:
    """`found` with its test, or with the reason why there is none.

    Args:
        found: two rows without a test.
        reason: why the two cannot be compared; empty if they can.
        items: those of both, as `found` names them, or the reason why they cannot be read.
        resamples: number of resamples of the bootstrap.
        seed: seed of the bootstrap.
        is_plain_shown: give the plain difference of the scores where there is no test, as with too few items; not where
            the two cannot be compared, or are known to have other items.
    """
    if reason:
        return replace(found, reason=reason)
    plain = _with_difference(found) if is_plain_shown else found
    readable = [item for item in items if isinstance(item, Items)]
    if len(readable) < len(items):
        return replace(plain, reason=next(item for item in items if isinstance(item, str)))
    mine, other = weighed_alike(readable)
    try:
        pairs = pair([other, mine])
    except RecordError as error:
        return replace(found, reason=str(error))
    try:
        comparison = compare_samples(pairs, resamples=resamples, seed=seed)
    except RecordError as error:
        return replace(plain, reason=str(error))
    both = replace(found, **asdict(comparison))
    return _with_difference(both) if is_plain_shown else both


def _with_difference(found: SameSize) -> SameSize:
    """`found` with the plain difference of its scores where it has none."""
    if found.delta is not None or found.value is None or found.other_value is None:
        return found
    return replace(found, delta=found.value - found.other_value)


def untested(row: Row, other: Row) -> SameSize:
    """Two rows side by side, without a test."""
    return SameSize(
        task=row["subject"],
        metric=row["metric"],
        higher_is_better=bool(row["higher_is_better"]),
        limit=row["limit"],
        subset=row.get("subset"),
        model=row["model"],
        percent=row["percent"],
        asked=row.get("asked"),
        method=row["method"],
        divisor=row["divisor"],
        layers=row["layers"],
        parameters=row["parameters"],
        value=row["value"],
        record=row["record"],
        other_model=other["model"],
        other_percent=other["percent"],
        other_asked=other.get("asked"),
        other_method=other["method"],
        other_parameters=other["parameters"],
        other_value=other["value"],
        other_record=other["record"],
    )


def _read(known: Any, plain: Sequence[SameSize]) -> list[SameSize] | None:
    """Decode saved comparisons; None if they are malformed or of other pairs: the folder may come from anywhere."""
    try:
        found = [SameSize(**item) for item in known]
    except MALFORMED:
        return None
    is_theirs = [without_test(item) for item in found] == list(plain)
    return found if is_theirs and all(map(has_its_types, found)) else None


def without_test(found: SameSize) -> SameSize:
    """`found` as it was before its test."""
    return replace(
        found, delta=None, delta_low=None, delta_high=None, p=None, p_holm=None, test="", pairs=None, reason=""
    )


def _adjusted(found: Sequence[SameSize]) -> list[SameSize]:
    """The comparisons with p adjusted over all of one limit and subset, in the given order."""
    groups: dict[tuple[int | None, str | None], list[int]] = {}
    for place, item in enumerate(found):
        groups.setdefault((item.limit, item.subset), []).append(place)
    result = list(found)
    for places in groups.values():
        for place, p in zip(places, holm([found[place].p for place in places]), strict=True):
            result[place] = replace(found[place], p_holm=p)
    return result
