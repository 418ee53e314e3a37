"""Sentences about skill: how much is left, where none is shown, and which rises only lead to blind."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.power import POWER
from glu_lib.analysis.significance import is_significant
from glu_lib.analysis.table import LevelKey, level_text, row_level
from glu_lib.report import number
from glu_lib.report.skills import control_of, unskilled
from glu_lib.report.wide import cells_at

NEXT_TO_NOTHING = 0.1  # a mean skill below it is said to be next to nothing
_MUCH = 0.5  # a task that keeps so much has kept something


def skill_sentence(table: HeadlineTable, level: LevelKey, place: str) -> str:
    """How much of their skill the tasks keep at a level, as a mean over the tasks with skill to lose.

    A skill below 0 counts as 0 in the mean: a score worse than blind holds as little as a blind one, and a ratio has no
    lower bound. Empty without skills, unless no task has skill to lose.
    """
    known = [row for row in cells_at(table, level) if row.get("blind") is not None]
    kept = sorted((row["skill"], str(row["subject"]), row) for row in known if row["skill"] is not None)
    if not kept:
        idle = [row for row in known if unskilled(table, row["subject"])]
        if not known or len(idle) < len(known):
            return ""
        which = f"{known[0]['subject']} is not" if len(known) == 1 else f"none of {len(known)} tasks is"
        return f"{place} no skill is shown: unpruned, {which} shown to be better than blind."
    mean = statistics.fmean(max(0.0, skill) for skill, _, _ in kept)
    (worst, worst_task, row), (best, best_task, _) = kept[0], kept[-1]
    if len(kept) == 1:
        left = f"{number.share(worst)} of its skill{_interval(row)}"
        if mean < NEXT_TO_NOTHING:
            return f"{place} next to nothing is left of {worst_task}: it keeps {left}; 0 % is blind."
        return f"{place} {worst_task} keeps {left}; 0 % is blind."
    ends = f"from {worst_task} ({number.share(worst)}) to {best_task} ({number.share(best)}); 0 % is blind."
    if mean < NEXT_TO_NOTHING and best < _MUCH:
        share = number.share(mean)
        return f"{place} next to nothing is left of the skill of {len(kept)} tasks: {share} on average, {ends}"
    return f"{place} {len(kept)} tasks keep {number.share(mean)} of their skill on average: {ends}"


def _interval(row: dict[str, Any]) -> str:
    low, high = row.get("skill_low"), row.get("skill_high")
    return "" if low is None or high is None else f" (95 %: {number.share(low)} to {number.share(high)})"


def idle_sentence(table: HeadlineTable) -> str:
    """The tasks without skill to lose; empty if there are none."""
    idle = [task for task in table.tasks if unskilled(table, task)]
    return f"No skill shown, because p0 is not shown to be better than blind: {number.listed(idle)}." if idle else ""


def rises(table: HeadlineTable) -> Iterator[str]:
    """Tasks without skill shown unpruned which score better at a level, one sentence each.

    The level with the best score is named. Such a rise is no improvement, unless its score is better than blind.
    """
    for task in table.tasks:
        unpruned = table.cells.get((task, 0))
        if unpruned is None or unpruned["value"] is None or not unskilled(table, task):
            continue
        sign = 1 if unpruned["higher_is_better"] else -1
        better = [
            row
            for level, _ in table.levels
            if (row := table.cells.get((task, level))) is not None and row.get("blind") is not None
            if row["value"] is not None and sign * (row["value"] - unpruned["value"]) > 0
            if number.score(row) != number.score(unpruned)
        ]
        if better:
            yield _rise(task, unpruned, max(better, key=lambda row: sign * float(row["value"])), sign)


def _rise(task: str, unpruned: dict[str, Any], row: dict[str, Any], sign: int) -> str:
    moves, blind = "rises" if sign > 0 else "falls", number.score({"value": row["blind"]})
    text = f"{task} {moves} from {number.score(unpruned)} to {number.score(row)} ({level_text(row_level(row))})"
    if row.get("p_holm") is not None and not is_significant(row):
        text += ", which is not significant"
    answers = f"blind answers get {blind} ({control_of(row)})"
    if not row.get("is_blind"):
        p = row.get("p_blind")
        above = "above blind, not tested" if p is None else f"better than blind (p = {p:.2g}, not corrected)"
        return f"{text}: {above}, {answers}."
    if sign * (row["value"] - row["blind"]) > 0:
        return f"{text}: no improvement, because it is not significantly better than blind; {answers}."
    return f"{text}: a {'rise' if sign > 0 else 'fall'} towards blind, no improvement; {answers}."


def missed(tested: Sequence[dict[str, Any]]) -> str:
    """The smallest change that could have been seen, over the tasks whose change is not significant; else empty."""
    unsure = [row for row in tested if not is_significant(row)]
    shares = sorted(
        (row["detectable"] / abs(row["baseline"]), str(row["subject"]))
        for row in unsure
        if row.get("detectable") is not None and row["baseline"]
    )
    if not shares:
        return ""
    ends = [f"{100 * share:.2g} % ({task})" for share, task in dict.fromkeys((shares[0], shares[-1]))]
    which = "it" if len(tested) == 1 else "the other" if len(unsure) == 1 else f"the other {len(unsure)}"
    return (
        f" The smallest change that {which} would have shown with a probability of {100 * POWER:.0f} %, even without "
        f"the correction: {' to '.join(ends)} of the unpruned score."
    )
