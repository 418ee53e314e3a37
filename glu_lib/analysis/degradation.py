"""Degradation by pruning: every headline score compared with its baseline item by item, and the trend of each task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.analysis.answer_texts import AnswerForm, answer_form
from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.items import Items, read_items, weighed_alike
from glu_lib.analysis.level_series import LevelSeries, by_task, families, family_of
from glu_lib.analysis.pairing import Pairs, pair
from glu_lib.analysis.random_floor import AgainstRandom, adjusted, against_random
from glu_lib.analysis.remembered import Remembered, has_its_types, state_of
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED
from glu_lib.analysis.significance import Comparison, compare_samples, holm
from glu_lib.analysis.skill import Blind, Skill, against_blind, best_control, with_skill
from glu_lib.analysis.table import Row, without_controls
from glu_lib.analysis.trends import Sensitivity, Trend, trend
from glu_lib.errors import RecordError
from glu_lib.results.lm_eval_samples import lm_eval_files_of
from glu_lib.results.record import MALFORMED, read_scored
from glu_lib.results.store import Store

BASELINE = "this is the baseline"
_STATISTICS = 9  # increased when the computation of a test or an interval changes, which invalidates saved comparisons
NO_BASELINE = "p0 of the same measurement is missing; run it"
COLLAPSED_BASELINE = "p0 itself has collapsed, so nothing can be compared with it"


@dataclass(frozen=True, slots=True)
class Change:
    """The comparison of one headline row with p0, or the reason why there is none.

    `record` is the row's column of that name. `p_holm` is the comparison's p, adjusted over all levels and tasks of the
    family. `skill` and `form` are set for p0 too; None without controls, items or generated answers. `is_defect`: the
    reason is a missing or unreadable file, or items that differ, and not just a missing level or too few items.
    `wrong_control` names a malformed control, `lacks_controls` says that other levels have controls and this has none;
    in both cases no level of the task has a blind score.
    """

    case: str
    record: str
    comparison: Comparison | None
    reason: str = ""
    p_holm: float | None = None
    skill: Skill | None = None
    form: AnswerForm | None = None
    is_defect: bool = False
    wrong_control: str = ""
    lacks_controls: str = ""


@dataclass(frozen=True, slots=True)
class Degradation:
    """The change of every headline row, the trend of every (family, task), and every method beside random selection.

    `changes` include the baselines.
    """

    changes: tuple[Change, ...]
    trends: tuple[Trend, ...]
    against_random: tuple[AgainstRandom, ...] = ()


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
        key = state_of(_files(group, store), resamples, seed, [row["value"] for row in group], _STATISTICS)
        found = _read(remembered.get(key), group)
        if found is None:
            found = _degradation_of(group, store, resamples, seed)
            remembered.put(key, asdict(found))
        changes += found.changes
        trends += found.trends
        beside_random += found.against_random
    if remember:
        remembered.save()
    return Degradation(tuple(_adjusted(changes, family_by_record)), tuple(trends), tuple(adjusted(beside_random)))


@dataclass(frozen=True, slots=True)
class _Case:
    """What is read of one row's case, once for all comparisons; `items` is the reason where they cannot be read."""

    items: Items | str
    form: AnswerForm | None = None
    blind: Blind | None = None
    skill: Skill | None = None


def _degradation_of(group: Sequence[Row], store: Store, resamples: int, seed: int) -> Degradation:
    """Changes (p not yet adjusted) and trends of the rows that share a baseline."""
    cases = {row["record"]: _read_case(row, store) for row in group}
    known_items = {record: case.items for record, case in cases.items() if isinstance(case.items, Items)}
    for record, items in zip(known_items, weighed_alike(list(known_items.values())), strict=True):
        cases[record] = replace(cases[record], items=items)
    # Only controls that all levels have: another one at p0 would be another zero.
    known = [set(items.controls) for items in known_items.values()]
    names = set.intersection(*known) if known else set()
    cases = {row["record"]: _with_blind(row, cases[row["record"]], names, resamples, seed) for row in group}
    lacking = [record for record, case in cases.items() if isinstance(case.items, Items) and not case.items.controls]
    changes = [_change(row, group, cases, resamples, seed) for row in group]
    if any(known):
        changes = [_without_controls(change) if change.record in lacking else change for change in changes]
    rows = [row | skill_columns(change.skill) for row, change in zip(group, changes, strict=True)]
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


def _files(group: Sequence[Row], store: Store) -> Iterator[Path]:
    """Paths of the rows' records, samples and lm-eval's own samples."""
    for row in group:
        yield store.root / row["record"]
        yield store.samples_of(row["record"])
        yield from lm_eval_files_of(store, row["record"])


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
    """Groups of rows of one (model, task, limit), with all methods, divisors and layer sets."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in scores:
        groups.setdefault((row["model"], row["subject"], row["limit"]), []).append(row)
    yield from groups.values()


def _read_case(row: Row, store: Store) -> _Case:
    """Read a row's record and samples."""
    form = None
    try:
        record = read_scored(store.root / row["record"])
        samples = store.read_samples(record.samples)
        form = answer_form(record, samples, store, row["record"])
        items = read_items(record, samples)
    except RecordError as error:
        return _Case(str(error), form)
    except MALFORMED as error:
        what = f"lack {error}" if isinstance(error, KeyError) else f"are malformed ({error})"
        return _Case(f"{row['case']}: record or samples {what}; run the case again with this version", form)
    return _Case(items, form)


def _with_blind(row: Row, case: _Case, names: Collection[str], resamples: int, seed: int) -> _Case:
    """The case with its blind score, the best of the controls called `names`, and the test against it."""
    if isinstance(case.items, str):
        return case
    items, better = case.items, row["higher_is_better"]
    blind = best_control(items, names, higher_is_better=better)
    if blind is None:
        return case
    try:
        skill = against_blind(items, blind, higher_is_better=better, resamples=resamples, seed=seed)
    except RecordError:  # too few items for a test
        skill = Skill(blind.score, blind.control, p95=blind.p95)
    return replace(case, blind=blind, skill=skill)


def _without_controls(change: Change) -> Change:
    if change.wrong_control:
        return change
    return replace(
        change,
        lacks_controls=(
            f"{change.case}: its samples hold no blind answers (of an earlier version, or a warning of its run says "
            "why), those of other levels do; no level of this task has a skill until it is run again: --rerun"
        ),
    )


def _change(row: Row, group: Sequence[Row], cases: dict[str, _Case], resamples: int, seed: int) -> Change:
    """The comparison of one row or the reason why there is none, and the row's skill."""
    mine = cases[row["record"]]
    wrong = "" if isinstance(mine.items, str) else mine.items.wrong_control
    change = Change(row["case"], row["record"], None, skill=mine.skill, form=mine.form, wrong_control=wrong)
    if isinstance(mine.items, str):
        return replace(change, reason=mine.items, is_defect=True)
    if row["percent"] == 0:
        has_skill = mine.skill is not None and mine.skill.is_blind is False
        return replace(
            change, skill=replace(mine.skill, value=1.0) if mine.skill and has_skill else mine.skill, reason=BASELINE
        )
    baseline = _baseline(row, group, cases)
    if isinstance(baseline, str):
        return replace(change, reason=baseline, is_defect=row["baseline"] is not None)
    if isinstance(baseline.items, str):
        return replace(change, reason=baseline.items, is_defect=True)
    try:
        pairs = pair([baseline.items, mine.items])
    except RecordError as error:
        return replace(change, reason=str(error), is_defect=True)
    if mine.skill and mine.blind and baseline.blind and baseline.skill and baseline.skill.is_blind is False:
        skill = with_skill(
            mine.skill,
            mine.items,
            mine.blind,
            baseline.items,
            baseline.blind,
            higher_is_better=row["higher_is_better"],
            resamples=resamples,
            seed=seed,
        )
        change = replace(change, skill=skill)
    try:
        return replace(change, comparison=compare_samples(pairs, resamples=resamples, seed=seed))
    except RecordError as error:
        return replace(change, reason=str(error))


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


def form_columns(form: AnswerForm | None) -> dict[str, float | None]:
    """The columns of the tidy table that the form of answers fills; empty without generated answers."""
    return asdict(form) if form else {}


def _baseline(row: Row, group: Sequence[Row], cases: dict[str, _Case]) -> _Case | str:
    """The case of a row's baseline, or the reason why there is none.

    The baseline is p0 of the same (model, task, limit), provided that consolidation found it comparable.
    """
    unpruned = [other for other in group if other["percent"] == 0]
    if row["baseline"] is not None:
        for other in unpruned:
            if other["value"] == row["baseline"]:
                return cases[other["record"]]
    if any(other.get("is_collapsed") for other in unpruned):
        return f"{row['case']}: {COLLAPSED_BASELINE}"
    if differing := [name for other in unpruned for name in unlike_fields(row, other)]:
        names = ", ".join(dict.fromkeys(differing))
        return f"{row['case']}: p0 was measured differently ({names}); run both with the same settings"
    return f"{row['case']}: {NO_BASELINE}"


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
    for family in set(family_by_record.values()):
        mine = [change for change in changes if family_by_record.get(change.record) == family]
        p_values = holm([change.comparison.p if change.comparison else None for change in mine])
        adjusted |= {change.record: p for change, p in zip(mine, p_values, strict=True)}
    return (replace(change, p_holm=adjusted.get(change.record)) for change in changes)
