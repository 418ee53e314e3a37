"""Degradation of a results folder: the changes of all levels, the trend of each task, methods beside random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from glu_lib.analysis.answer_texts import AnswerForm
from glu_lib.analysis.changes import NO_CHANGE, Change, change_of, files_of, lacking_controls, read_case, with_blind
from glu_lib.analysis.items import Items, weighed_alike
from glu_lib.analysis.level_series import LevelSeries, by_task, families, family_of, scope_of
from glu_lib.analysis.pairing import Pairs, pair
from glu_lib.analysis.random_floor import AgainstRandom, adjusted, against_random
from glu_lib.analysis.recovered import Recovered, recovered
from glu_lib.analysis.remembered import STATISTICS, Remembered, has_its_types, state_of
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED
from glu_lib.analysis.same_size import SameSize, same_sizes
from glu_lib.analysis.significance import Comparison, holm
from glu_lib.analysis.skill import Skill, skill_columns
from glu_lib.analysis.table import Row, without_controls
from glu_lib.analysis.trends import Sensitivity, Trend, trend
from glu_lib.errors import RecordError
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store


@dataclass(frozen=True, slots=True)
class Degradation:
    """The change of every headline row, the trend of every (family, task), and what stands beside random selection.

    `changes` include the baselines. `same_size` holds pruned levels beside other models of about the same size,
    `recovered` the checkpoints that are compared with a baseline.
    """

    changes: tuple[Change, ...]
    trends: tuple[Trend, ...]
    against_random: tuple[AgainstRandom, ...] = ()
    same_size: tuple[SameSize, ...] = ()
    recovered: tuple[Recovered, ...] = ()


def degradation(
    rows: Iterable[Row],
    store: Store,
    *,
    remember: bool = False,
    resamples: int = RESAMPLES,
    seed: int = RESAMPLING_SEED,
) -> Degradation:
    """Compare all levels of a results folder with their baselines.

    Saved results are reused if their records and samples are unchanged (`remembered`). Each samples file is read once,
    and the samples of only one (model, task, limit) are in memory at a time. A row whose samples cannot be read or
    paired gets a reason in place of a comparison, and its task a trend by levels in place of items.

    Args:
        rows: tidy rows with their baselines, from `consolidate`; controls are left out.
        store: the results folder of these rows.
        remember: save the results in the folder.
        resamples: number of resamples of each bootstrap.
        seed: seed of each bootstrap.
    """
    scores = [row for row in without_controls(rows) if row["kind"] == "accuracy" and row["is_headline"]]
    changes: list[Change] = []
    trends: list[Trend] = []
    beside_random: list[AgainstRandom] = []
    family_by_record = {row["record"]: family_of(row) for row in scores if row["percent"] != 0}
    remembered = Remembered.of(store.root)
    for group in _sharing_a_baseline(scores):
        key = state_of(files_of(group, store), resamples, seed, [row["value"] for row in group], STATISTICS)
        found = _read(remembered.get(key), group)
        if found is None:
            found = _degradation_of(group, store, resamples, seed)
            remembered.put(key, asdict(found))
        changes += found.changes
        trends += found.trends
        beside_random += found.against_random
    same_size = same_sizes(scores, store, remembered, resamples=resamples, seed=seed)
    checkpoints = recovered(scores, store, remembered, resamples=resamples, seed=seed)
    if remember:
        remembered.save()
    return Degradation(
        tuple(_adjusted(changes, family_by_record)),
        tuple(trends),
        tuple(adjusted(beside_random)),
        tuple(same_size),
        tuple(checkpoints),
    )


def _degradation_of(group: Sequence[Row], store: Store, resamples: int, seed: int) -> Degradation:
    """Changes (p not yet adjusted) and trends of the rows that share a baseline."""
    cases = {row["record"]: read_case(row, store) for row in group}
    known_items = {record: case.items for record, case in cases.items() if isinstance(case.items, Items)}
    for record, items in zip(known_items, weighed_alike(list(known_items.values())), strict=True):
        cases[record] = replace(cases[record], items=items)
    # Only controls that all levels have: another one at p0 would be another zero.
    known = [set(items.controls) for items in known_items.values()]
    names = set.intersection(*known) if known else set()
    cases = {row["record"]: with_blind(row, cases[row["record"]], names, resamples, seed) for row in group}
    lacking = [record for record, case in cases.items() if isinstance(case.items, Items) and not case.items.controls]
    changes = [change_of(row, group, cases, resamples, seed) for row in group]
    if any(known):
        changes = [lacking_controls(change) if change.record in lacking else change for change in changes]
    rows = [
        row | skill_columns(change.skill) | (NO_CHANGE if change.has_other_items else {})
        for row, change in zip(group, changes, strict=True)
    ]
    trends = []
    for family, members in families(rows).items():
        for levels in by_task(members).values():
            mine = [cases[row["record"]] for row in levels]
            blinds = [case.blind for case in mine if case.blind]
            beside = blinds if len(blinds) == len(mine) else None
            pairs = _all_levels([case.items for case in mine])
            trends.append(trend(family, levels, pairs, beside, resamples=resamples, seed=seed))
    found = {record: case.items for record, case in cases.items()}
    beside_random = against_random(group, found, resamples=resamples, seed=seed)
    return Degradation(tuple(changes), tuple(trends), tuple(beside_random))


def _read(known: Any, group: Sequence[Row]) -> Degradation | None:
    """Decode a saved degradation; None if it is malformed or of other rows.

    It is checked because the results folder, and this file with it, may come from an unknown source.
    """
    try:
        changes = [
            Change(
                **change
                | {
                    "comparison": change["comparison"] and Comparison(**change["comparison"]),
                    "skill": change["skill"] and Skill(**change["skill"]),
                    "form": change["form"] and AnswerForm(**change["form"]),
                }
            )
            for change in known["changes"]
        ]
        trends = [Trend(**found | {"kind": Sensitivity(found["kind"])}) for found in known["trends"]]
        beside_random = [AgainstRandom(**found) for found in known["against_random"]]
    except MALFORMED:
        return None
    comparisons = [change.comparison for change in changes if change.comparison]
    skills = [change.skill for change in changes if change.skill]
    forms = [change.form for change in changes if change.form]
    is_theirs = [change.record for change in changes] == [row["record"] for row in group]
    if not is_theirs or not all(map(has_its_types, (*changes, *comparisons, *skills, *forms, *trends, *beside_random))):
        return None
    return Degradation(tuple(changes), tuple(trends), tuple(beside_random))


def _sharing_a_baseline(scores: Sequence[Row]) -> Iterator[list[Row]]:
    """Groups of rows of one (model, task, items), with all methods, divisors and layer sets."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in scores:
        groups.setdefault((row["subject"], *scope_of(row)), []).append(row)
    yield from groups.values()


def _all_levels(items: Sequence[Items | str]) -> Pairs | None:
    """The paired items of all levels; None if a level has no items or different ones."""
    known = [found for found in items if isinstance(found, Items)]
    try:
        return pair(known) if len(known) == len(items) else None
    except RecordError:
        return None


def _adjusted(changes: Sequence[Change], family_by_record: dict[str, LevelSeries]) -> Iterator[Change]:
    """The changes in the given order, with p-values adjusted within each family."""
    adjusted: dict[str, float | None] = {}
    of_family: dict[LevelSeries, list[Change]] = {}
    for change in changes:
        if change.record in family_by_record:
            of_family.setdefault(family_by_record[change.record], []).append(change)
    for mine in of_family.values():
        p_values = holm([change.comparison.p if change.comparison else None for change in mine])
        adjusted |= {change.record: p for change, p in zip(mine, p_values, strict=True)}
    return (replace(change, p_holm=adjusted.get(change.record)) for change in changes)
