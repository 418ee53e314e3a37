"""What pruning did, item by item: every headline score against its baseline, Holm-adjusted, and each task's trend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.pairing import Items, Pairs, pair, read_items
from glu_lib.analysis.remembered import Remembered, state_of
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED
from glu_lib.analysis.significance import Comparison, at_chance, compare_samples, holm
from glu_lib.analysis.soundness import has_its_types
from glu_lib.analysis.table import Row
from glu_lib.analysis.trends import LevelSeries, Sensitivity, Trend, by_task, families, family_of, trend
from glu_lib.errors import RecordError
from glu_lib.results.record import MALFORMED, read_record
from glu_lib.results.store import Store

BASELINE = "this is the baseline"
_STATISTICS = 3  # raised when a test or an interval is computed otherwise: what is remembered then counts no more
NO_BASELINE = "p0 of the same measurement is missing; run it"
COLLAPSED_BASELINE = "p0 itself has collapsed, so that there is nothing to compare with"


@dataclass(frozen=True, slots=True)
class Change:
    """One headline row: its comparison with p0, or the reason why there is none.

    `record` is the row's column of that name. `p_holm` is the comparison's p, adjusted over all levels and tasks of
    its family. `is_at_chance` also stands at p0; None without chance level or without items. `is_defect` says that the
    reason is a file that should be there or readable, not just a level or items too few.
    """

    case: str
    record: str
    comparison: Comparison | None
    reason: str = ""
    p_holm: float | None = None
    is_at_chance: bool | None = None
    is_defect: bool = False


@dataclass(frozen=True, slots=True)
class Degradation:
    """Every headline row's change, baselines included, and every (family, task)'s trend."""

    changes: tuple[Change, ...]
    trends: tuple[Trend, ...]


def degradation(
    rows: Iterable[Row],
    store: Store,
    *,
    remember: bool = False,
    resamples: int = RESAMPLES,
    seed: int = RESAMPLING_SEED,
) -> Degradation:
    """Compare all levels of a results folder with their baselines.

    What was computed before is taken over while records and samples are unchanged (`remembered`). Each samples file is
    read once; those of one (model, task, limit) are in memory at a time. What cannot be read or
    paired has its reason in place of a comparison, and a trend by levels instead of items.

    Args:
        rows: tidy rows with their baselines, as `consolidate` gives them.
        store: the results folder they are from.
        remember: save what was computed in the results folder.
        resamples: of each bootstrap.
        seed: of each bootstrap.
    """
    scores = [row for row in rows if row["kind"] == "accuracy" and row["is_headline"]]
    changes: list[Change] = []
    trends: list[Trend] = []
    family_by_record = {row["record"]: family_of(row) for row in scores if row["percent"] != 0}
    remembered = Remembered.of(store.root)
    for group in _sharing_a_baseline(scores):
        key = state_of(_files(group, store), resamples, seed, [row["value"] for row in group], _STATISTICS)
        found = _read(remembered.get(key), group)
        if found is None:
            found = _degradation_of(group, store, resamples, seed)
            remembered.put(key, asdict(found))
        changes += found.changes
        trends += found.trends
    if remember:
        remembered.save()
    return Degradation(tuple(_adjusted(changes, family_by_record)), tuple(trends))


def _degradation_of(group: Sequence[Row], store: Store, resamples: int, seed: int) -> Degradation:
    """The changes, not yet adjusted, and the trends of rows that share a baseline."""
    items = {row["record"]: _items(row, store) for row in group}
    changes = [_change(row, group, items, resamples, seed) for row in group]
    trends = []
    for family, found in families(group).items():
        for levels in by_task(found).values():
            pairs = _all_levels([items[row["record"]] for row in levels])
            trends.append(trend(family, levels, pairs, resamples=resamples, seed=seed))
    return Degradation(tuple(changes), tuple(trends))


def _files(group: Sequence[Row], store: Store) -> Iterator[Path]:
    """Records and samples of rows; a record's samples lie at the same place of their own folder."""
    for row in group:
        yield store.root / row["record"]
        yield store.samples_of(row["record"])


def _read(known: Any, group: Sequence[Row]) -> Degradation | None:
    """A remembered degradation; None if there is none of these rows as this version writes it.

    The file comes with the folder, which may come from anywhere.
    """
    try:
        changes = [
            Change(**change | {"comparison": change["comparison"] and Comparison(**change["comparison"])})
            for change in known["changes"]
        ]
        trends = [Trend(**found | {"kind": Sensitivity(found["kind"])}) for found in known["trends"]]
    except MALFORMED:
        return None
    comparisons = [change.comparison for change in changes if change.comparison]
    is_theirs = [change.record for change in changes] == [row["record"] for row in group]
    if not is_theirs or not all(map(has_its_types, (*changes, *comparisons, *trends))):
        return None
    return Degradation(tuple(changes), tuple(trends))


def _sharing_a_baseline(scores: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows of one (model, task, limit), of all methods and divisors."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in scores:
        groups.setdefault((row["model"], row["subject"], row["limit"]), []).append(row)
    yield from groups.values()


def _items(row: Row, store: Store) -> Items | str:
    """The items of a row's record, or why they cannot be had."""
    try:
        record = read_record(store.root / row["record"])
        return read_items(record, store.read_samples(record))
    except RecordError as error:
        return str(error)
    except MALFORMED as error:
        what = f"lack {error}" if isinstance(error, KeyError) else f"are not as they should be ({error})"
        return f"{row['case']}: record or samples {what}; run the case again with this version"


def _change(row: Row, group: Sequence[Row], items: dict[str, Items | str], resamples: int, seed: int) -> Change:
    """One row's comparison, or its reason, and whether it is at chance."""
    mine = items[row["record"]]
    change = Change(row["case"], row["record"], None)
    if isinstance(mine, str):
        return replace(change, reason=mine, is_defect=True)
    try:
        change = replace(change, is_at_chance=at_chance(pair([mine]), row["chance"], resamples=resamples, seed=seed))
        if row["percent"] == 0:
            return replace(change, reason=BASELINE)
        baseline = _baseline(row, group, items)
        if isinstance(baseline, str):
            return replace(change, reason=baseline, is_defect=row["baseline"] is not None)
        try:
            pairs = pair([baseline, mine])
        except RecordError as error:
            return replace(change, reason=str(error), is_defect=True)
        return replace(change, comparison=compare_samples(pairs, resamples=resamples, seed=seed))
    except RecordError as error:
        return replace(change, reason=str(error))


def _baseline(row: Row, group: Sequence[Row], items: dict[str, Items | str]) -> Items | str:
    """The items of a row's baseline: the p0 of its (model, task, limit), if consolidation found it comparable."""
    unpruned = [other for other in group if other["percent"] == 0]
    if row["baseline"] is not None:
        for other in unpruned:
            if other["value"] == row["baseline"]:
                return items[other["record"]]
    if any(other.get("is_collapsed") for other in unpruned):
        return f"{row['case']}: {COLLAPSED_BASELINE}"
    if differing := [name for other in unpruned for name in unlike_fields(row, other)]:
        return f"{row['case']}: p0 was measured otherwise ({', '.join(dict.fromkeys(differing))}); run both alike"
    return f"{row['case']}: {NO_BASELINE}"


def _all_levels(items: Sequence[Items | str]) -> Pairs | None:
    """Items of all levels side by side, or None if one has none or other ones."""
    known = [found for found in items if isinstance(found, Items)]
    try:
        return pair(known) if len(known) == len(items) else None
    except RecordError:
        return None


def _adjusted(changes: Sequence[Change], family_by_record: dict[str, LevelSeries]) -> Iterator[Change]:
    """The changes in their order, with p-values adjusted within each family."""
    adjusted: dict[str, float | None] = {}
    for family in set(family_by_record.values()):
        mine = [change for change in changes if family_by_record.get(change.record) == family]
        p_values = holm([change.comparison.p if change.comparison else None for change in mine])
        adjusted |= {change.record: p for change, p in zip(mine, p_values, strict=True)}
    return (replace(change, p_holm=adjusted.get(change.record)) for change in changes)
