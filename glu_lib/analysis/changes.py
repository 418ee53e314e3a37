"""Change of a headline score against p0: the case as read, its comparison item by item, or why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glu_lib.analysis.answer_texts import AnswerForm, answer_form
from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.items import Items, read_items
from glu_lib.analysis.pairing import pair
from glu_lib.analysis.significance import Comparison, compare_samples
from glu_lib.analysis.skill import Blind, Skill, against_blind, best_control, untested, with_skill
from glu_lib.analysis.table import Row
from glu_lib.errors import RecordError
from glu_lib.results.lm_eval_samples import lm_eval_files_of
from glu_lib.results.record import MALFORMED, read_scored
from glu_lib.results.store import Store

BASELINE = "this is the baseline"
NO_BASELINE = "p0 of the same measurement is missing; run it"
NO_CHANGE = {"baseline": None, "delta": None, "relative_delta": None}  # columns of a row that cannot be compared
COLLAPSED_BASELINE = "p0 itself has collapsed, so nothing can be compared with it"


@dataclass(frozen=True, slots=True)
class Change:
    """The comparison of one headline row with p0, or the reason why there is none.

    `record` is the row's column of that name. `p_holm` is the comparison's p, adjusted over all levels and tasks of the
    family. `skill` and `form` are set for p0 too; None without controls, items or generated answers. `is_defect`: the
    reason is a missing or unreadable file, or items that differ, and not just a missing level or too few items.
    `has_other_items`: the items are known to differ from p0's, so the scores cannot be compared at all.
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
    has_other_items: bool = False
    wrong_control: str = ""
    lacks_controls: str = ""


@dataclass(frozen=True, slots=True)
class ReadCase:
    """What is read of one row's case, once for all comparisons; `items` is the reason where they cannot be read."""

    items: Items | str
    form: AnswerForm | None = None
    blind: Blind | None = None
    skill: Skill | None = None


def read_case(row: Row, store: Store) -> ReadCase:
    """Read a row's record and samples."""
    form = None
    try:
        record = read_scored(store.root / row["record"])
        samples = store.read_samples(record.samples)
        form = answer_form(record, samples, store, row["record"])
        items = read_items(record, samples)
    except RecordError as error:
        return ReadCase(str(error), form)
    except MALFORMED as error:
        what = f"lack {error}" if isinstance(error, KeyError) else f"are malformed ({error})"
        return ReadCase(f"{row['case']}: record or samples {what}; run the case again with this version", form)
    return ReadCase(items, form)


def files_of(rows: Iterable[Row], store: Store) -> Iterator[Path]:
    """Paths of what `read_case` reads: the rows' records, samples and lm-eval's own samples."""
    for row in rows:
        yield store.root / row["record"]
        yield store.samples_of(row["record"])
        yield from lm_eval_files_of(store, row["record"])


def with_blind(row: Row, case: ReadCase, names: Collection[str], resamples: int, seed: int) -> ReadCase:
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
        skill = untested(row["value"], blind, higher_is_better=better)
    return replace(case, blind=blind, skill=skill)


def lacking_controls(change: Change) -> Change:
    """The change of a row without controls whose task has them at other levels; as it is if a control is malformed."""
    if change.wrong_control:
        return change
    return replace(
        change,
        lacks_controls=(
            f"{change.case}: its samples hold no blind answers (of an earlier version, or a warning of its run says "
            "why), those of other levels do; no level of this task has a skill until it is run again: --rerun"
        ),
    )


def change_of(row: Row, group: Sequence[Row], cases: dict[str, ReadCase], resamples: int, seed: int) -> Change:
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
        return replace(change, reason=str(error), is_defect=True, has_other_items=True)
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


def _baseline(row: Row, group: Sequence[Row], cases: dict[str, ReadCase]) -> ReadCase | str:
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
