"""Recovered and foreign checkpoints, item by item beside their baseline: its p0, and its levels of equal widths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from glu_lib.analysis.changes import files_of, read_case
from glu_lib.analysis.items import Items, weighed_alike
from glu_lib.analysis.level_series import family_of
from glu_lib.analysis.power import detectable
from glu_lib.analysis.recovered_share import recovered_share
from glu_lib.analysis.remembered import STATISTICS, Remembered, has_its_types, state_of
from glu_lib.analysis.same_size import SameSize, untested, with_test, without_test
from glu_lib.analysis.significance import holm
from glu_lib.analysis.size_pairs import by_items, unlike_runs
from glu_lib.analysis.skill import Skill, against_blind, best_control, with_skill
from glu_lib.analysis.table import Row, row_level
from glu_lib.errors import RecordError
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store

_SKILL = ("skill", "skill_low", "skill_high")
_OF_P0 = ("delta", "delta_low", "delta_high", "test", "pairs", "p", "p_holm")
# What a checkpoint's row has of its baseline; None where the two cannot be compared.
_COLUMNS = (
    "baseline",
    "relative_delta",
    "detectable",
    *_OF_P0,
    *_SKILL,
    "recovered",
    "recovered_low",
    "recovered_high",
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A checkpoint beside p0 of its baseline, or beside a pruned level of it with the same widths, in one task.

    `beside` holds both scores and the paired test, `level` names the baseline's level, as `p40, L2`; p is adjusted over
    all comparisons of one checkpoint with the same choice of items. Beside p0, `skill` is the checkpoint's: 1 unpruned,
    0 blind. Beside a level, `share` is the share of the skill lost there that the checkpoint has again, None with
    `share_reason`. Both have 95 % intervals.
    """

    beside: SameSize
    level: str
    skill: float | None = None
    skill_low: float | None = None
    skill_high: float | None = None
    share: float | None = None
    share_low: float | None = None
    share_high: float | None = None
    share_reason: str = ""


def recovered(
    rows: Sequence[Row], store: Store, remembered: Remembered, *, resamples: int, seed: int
) -> list[Recovered]:
    """Compare every checkpoint that names a baseline with it, on the same items.

    Args:
        rows: tidy rows, from `consolidate`.
        store: the results folder of these rows.
        remembered: saved comparisons, used if their records and samples are unchanged; new ones are put into it.
        resamples: number of resamples of each bootstrap.
        seed: seed of each bootstrap.
    """
    found: list[Recovered] = []
    for mine in by_items(rows).values():
        for row in mine:
            if row.get("baseline_model") and (others := baseline_rows(row, mine)):
                found += _of_checkpoint(row, others, store, remembered, resamples, seed)
    return _adjusted(found)


def baseline_rows(row: Row, rows: Iterable[Row]) -> list[Row]:
    """Of rows with the same items: p0 of a checkpoint's baseline, then its pruned levels of the same widths."""
    of_model = [other for other in rows if other["model"] == row["baseline_model"]]
    unpruned = [other for other in of_model if other["percent"] == 0]
    return unpruned + [other for other in of_model if other["percent"] != 0 and has_widths_of(row, other)]


def has_widths_of(row: Row, other: Row) -> bool:
    """Whether two rows are of models whose MLPs have the same widths in every layer."""
    mine, theirs = row.get("widths"), other.get("widths")
    if mine and theirs:
        return bool(mine == theirs and row["expansion_ratio"] == other["expansion_ratio"])
    # Records of early versions have one width; with equal ratio and parameters the layers are as many.
    return all(row[name] == other[name] for name in ("width", "expansion_ratio", "parameters"))


def recovered_columns(found: Iterable[Recovered]) -> dict[str, dict[str, Any]]:
    """The tidy columns of each checkpoint's headline row, by its record; those of the share are of the first level."""
    columns: dict[str, dict[str, Any]] = {}
    for item in found:
        beside = item.beside
        mine = columns.setdefault(beside.record, dict.fromkeys(_COLUMNS))
        if beside.other_percent == 0:
            value, delta = beside.other_value, beside.delta
            mine |= {name: getattr(beside, name) for name in _OF_P0} | {name: getattr(item, name) for name in _SKILL}
            mine |= {
                "test": beside.test or None,
                "baseline": value if delta is not None or beside.test else None,
                "relative_delta": _relative(delta, value),
                "detectable": detectable(beside.delta_low, beside.delta_high) if beside.test else None,
            }
        elif mine["recovered"] is None:
            mine |= {"recovered": item.share, "recovered_low": item.share_low, "recovered_high": item.share_high}
    return columns


def _relative(delta: float | None, baseline: float | None) -> float | None:
    """Delta / baseline; None without either, or if it is beyond all numbers."""
    found = delta / baseline if delta is not None and baseline else math.inf
    return found if math.isfinite(found) else None


def with_recovered(rows: Iterable[Row], found: Iterable[Recovered]) -> list[Row]:
    """The rows; those of checkpoints with the columns against their baseline in place of those against themselves."""
    known = recovered_columns(found)
    empty = dict.fromkeys(_COLUMNS)
    return [row | known.get(row["record"], empty) if _is_compared(row) else row for row in rows]


def _is_compared(row: Row) -> bool:
    return bool(row.get("baseline_model") and row["kind"] == "accuracy" and row["is_headline"])


def _of_checkpoint(
    row: Row, others: Sequence[Row], store: Store, remembered: Remembered, resamples: int, seed: int
) -> list[Recovered]:
    plain = [untested(row, other) for other in others]
    key = state_of(
        files_of([row, *others], store), resamples, seed, [asdict(item) for item in plain], "recovered", STATISTICS
    )
    if (known := _read(remembered.get(key), plain)) is not None:
        return known
    items = _items([row, *others], store)
    found = [
        _compared(item, row, other, others[0], items, resamples, seed)
        for item, other in zip(plain, others, strict=True)
    ]
    remembered.put(key, [asdict(item) for item in found])
    return found


def _items(rows: Sequence[Row], store: Store) -> dict[str, Items | str]:
    """The items of each row by its record, those of uncertain weights with the weights of another; or a reason."""
    found = {row["record"]: read_case(row, store).items for row in rows}
    readable = {record: items for record, items in found.items() if isinstance(items, Items)}
    return found | dict(zip(readable, weighed_alike(list(readable.values())), strict=True))


def _compared(
    plain: SameSize,
    row: Row,
    other: Row,
    unpruned: Row,
    items: Mapping[str, Items | str],
    resamples: int,
    seed: int,
) -> Recovered:
    how = {"resamples": resamples, "seed": seed}
    level = replace(family_of(other), limit=None).name_of(row_level(other))
    reason = unlike_runs(row, other)
    mine_and_theirs = [items[row["record"]], items[other["record"]]]
    beside = with_test(plain, reason, mine_and_theirs, is_plain_shown=True, **how)
    mine, first, theirs = (items[found["record"]] for found in (row, unpruned, other))
    if not (isinstance(mine, Items) and isinstance(first, Items) and isinstance(theirs, Items)) or beside.reason:
        return Recovered(beside, level, share_reason=beside.reason)
    better = bool(row["higher_is_better"])
    if other["percent"] == 0:
        skill = _skill(mine, first, higher_is_better=better, **how)
        return Recovered(beside, level, skill.value, skill.low, skill.high) if skill else Recovered(beside, level)
    if unpruned["percent"] != 0:
        return Recovered(beside, level, share_reason=f"p0 of {row['baseline_model']} has no record of these items")
    if reason := unlike_runs(row, unpruned):
        return Recovered(beside, level, share_reason=reason)
    share = recovered_share(first, theirs, mine, higher_is_better=better, **how)
    return Recovered(
        beside, level, share=share.value, share_low=share.low, share_high=share.high, share_reason=share.reason
    )


def _skill(mine: Items, unpruned: Items, *, higher_is_better: bool, resamples: int, seed: int) -> Skill | None:
    """The skill of a checkpoint, 1 as its unpruned baseline; None where that has no skill, or without blind answers."""
    names = set(mine.controls) & set(unpruned.controls)
    own, first = (best_control(items, names, higher_is_better=higher_is_better) for items in (mine, unpruned))
    if own is None or first is None:
        return None
    how: dict[str, Any] = {"higher_is_better": higher_is_better, "resamples": resamples, "seed": seed}
    try:
        if against_blind(unpruned, first, **how).is_blind:
            return None
        return with_skill(Skill(own.score, own.control), mine, own, unpruned, first, **how)
    except RecordError:  # too few items
        return None


def _read(known: Any, plain: Sequence[SameSize]) -> list[Recovered] | None:
    """Decode saved comparisons; None if they are malformed or of other pairs: the folder may come from anywhere."""
    try:
        found = [Recovered(**item | {"beside": SameSize(**item["beside"])}) for item in known]
    except MALFORMED:
        return None
    is_theirs = [without_test(item.beside) for item in found] == list(plain)
    return found if is_theirs and all(has_its_types(part) for item in found for part in (item, item.beside)) else None


def _adjusted(found: Sequence[Recovered]) -> list[Recovered]:
    """The comparisons with p adjusted over all of one checkpoint, limit and subset, in the given order."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, item in enumerate(found):
        groups.setdefault((item.beside.model, item.beside.limit, item.beside.subset), []).append(place)
    result = list(found)
    for places in groups.values():
        for place, p in zip(places, holm([found[place].beside.p for place in places]), strict=True):
            result[place] = replace(found[place], beside=replace(found[place].beside, p_holm=p))
    return result
