"""Skill and blind scores of a headline table as text: the blind row, the table of skills, and their notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.resampling import FEWEST_ITEMS
from glu_lib.analysis.table import LevelKey, level_text, row_level, without_controls
from glu_lib.errors import one_line
from glu_lib.report import number


class Kept(StrEnum):
    """What the means, slopes and trade-offs of a model are computed from; see `analysis.level_series.retained`."""

    SCORE = "relative score"
    SKILL = "skill"
    MIXED = "skill or relative score"

    @property
    def noun(self) -> str:
        """The word in `tasks keep 70 % of their …`."""
        return "score" if self is Kept.SCORE else "skill" if self is Kept.SKILL else "skill or score"

    @property
    def meaning(self) -> str:
        """The beginning of a caption."""
        if self is Kept.SCORE:
            return "Relative score (score / unpruned score, perplexities inverted)"
        if self is Kept.SKILL:
            return "Skill (1 unpruned, 0 blind)"
        return "Skill (1 unpruned, 0 blind), relative score where no blind score is known,"


def kept_of(rows: Iterable[dict[str, Any]]) -> dict[str, Kept]:
    """What each model's claims are computed from, by its headline scores."""
    known: dict[str, set[bool]] = {}
    for row in without_controls(rows):
        if row["kind"] == "accuracy" and row["is_headline"]:
            known.setdefault(row["model"], set()).add(row.get("blind") is not None)
    return {
        model: Kept.MIXED if len(found) > 1 else Kept.SKILL if True in found else Kept.SCORE
        for model, found in known.items()
    }


SKILL_TITLE = "skill: what is left above blind, 1 unpruned and 0 blind, with its 95 % interval"


def knows_blind(table: HeadlineTable) -> bool:
    """Whether the blind score of at least one cell is known."""
    return any(_blind(row) is not None for row in table.cells.values())


def blind_at_p0(table: HeadlineTable, task: str) -> str:
    """The blind score of a task's unpruned level, `–` if it is not known."""
    return number.score({"value": _blind(table.cells.get((task, 0)))})


def control_of(row: dict[str, Any]) -> str:
    """The name of a row's best blind answer as one line: samples may come from anywhere."""
    return one_line(str(row["blind_control"]))


def skill_tasks(table: HeadlineTable) -> list[str]:
    """Tasks of which a pruned level has a blind score; the table of skills shows them."""
    return [task for task in table.tasks if any(_blind(row) is not None for row in _pruned(table, task))]


def skill_levels(table: HeadlineTable) -> list[tuple[LevelKey, float]]:
    """The pruned levels, as (level, expansion ratio); the skill of p0 is 1 by definition."""
    return [level for level in table.levels if level[0]]


def skill_checkpoints(table: HeadlineTable) -> list[tuple[str, float, list[dict[str, Any] | None]]]:
    """The checkpoints that are compared with the table's model, with their rows in the order of `skill_tasks`."""
    tasks = skill_tasks(table)
    return [
        (name, ratio, [table.checkpoints[name].get(task) for task in tasks])
        for name, ratio, _ in table.checkpoint_lines
    ]


def skill_text(row: dict[str, Any] | None) -> str:
    """A skill with its mark, `0.28°`; `–` without a skill."""
    if row is None or row.get("skill") is None:
        return "–"
    return f"{number.signed(row['skill'])}{'°' if row.get('is_blind') else ''}"


def skill_interval(row: dict[str, Any] | None) -> str:
    """The 95 % interval of a skill, `0.37 … 0.90`; empty without one."""
    if row is None or row.get("skill") is None or row.get("skill_low") is None or row.get("skill_high") is None:
        return ""
    return f"{number.signed(row['skill_low'])} … {number.signed(row['skill_high'])}"


def blind_notes(table: HeadlineTable) -> list[str]:
    """Which blind answers have the blind scores, and where these depend on the level; empty without controls."""
    controls: dict[str, list[str]] = {}
    ranges = []
    for task in table.tasks:
        rows = [row for level, _ in table.levels if (row := table.cells.get((task, level))) is not None]
        known = [row for row in rows if _blind(row) is not None]
        for row in known[:1]:
            controls.setdefault(control_of(row), []).append(task)
        if len({number.score({"value": row["blind"]}) for row in known}) > 1:
            ends = (number.score({"value": end(row["blind"] for row in known)}) for end in (min, max))
            names = dict.fromkeys(control_of(row) for row in known)
            ranges.append(f"{task} {' to '.join(ends)} ({', '.join(names)})")
    told = "; ".join(f"{name} ({', '.join(tasks)})" for name, tasks in controls.items())
    return [
        *([f"best blind answer: {told}"] if told else []),
        *([f"blind scores that differ from level to level: {', '.join(ranges)}"] if ranges else []),
    ]


def skill_notes(table: HeadlineTable) -> list[str]:
    """Why skills or their intervals are missing."""
    nothing_to_lose, too_few, no_baseline = [], [], []
    no_interval, cut_off, untested = list[str](), list[str](), list[str]()
    for task in skill_tasks(table):
        rows = _pruned(table, task)
        beside = (table.cells.get((task, level)) for level, _ in table.levels)
        untested += [f"{task} {level_text(row_level(row))}" for row in beside if row and _is_above_untested(row)]
        if unskilled(table, task):
            nothing_to_lose.append(task)
            continue
        known = [row for row in rows if _blind(row) is not None]
        lacking = [row for row in known if row.get("skill") is None]
        too_few += [f"{task} {level_text(row_level(row))}" for row in lacking if row["n"] < FEWEST_ITEMS]
        no_baseline += [f"{task} {level_text(row_level(row))}" for row in lacking if row["n"] >= FEWEST_ITEMS]
        for row in known:
            if row.get("skill") is not None and not skill_interval(row):
                is_cut_off = row["skill"] == 0 and not row["higher_is_better"]
                (cut_off if is_cut_off else no_interval).append(f"{task} {level_text(row_level(row))}")
    parts = (
        (
            f"no skill shown, since p0 is not shown to be better than blind: {', '.join(nothing_to_lose)}",
            nothing_to_lose,
        ),
        (f"above blind, but with fewer than {FEWEST_ITEMS} items not tested: {', '.join(untested)}", untested),
        (f"no skill from fewer than {FEWEST_ITEMS} items: {', '.join(too_few)}", too_few),
        (f"no skill without a comparable p0 with controls: {', '.join(no_baseline)}", no_baseline),
        (
            "no interval, because p0 falls to blind in a resample of the items or the items are not known: "
            f"{', '.join(no_interval)}",
            no_interval,
        ),
        (f"0.00 without interval, because a perplexity above blind counts as blind: {', '.join(cut_off)}", cut_off),
    )
    return [text for text, found in parts if found]


def _is_above_untested(row: dict[str, Any]) -> bool:
    is_short = row["n"] is not None and row["n"] < FEWEST_ITEMS
    return is_short and _blind(row) is not None and row.get("is_blind") is None


def unskilled(table: HeadlineTable, task: str) -> bool:
    """Whether a task has no skill to lose: its unpruned score is not shown to be better than blind."""
    unpruned = table.cells.get((task, 0))
    return unpruned is not None and bool(unpruned.get("is_blind"))


def _pruned(table: HeadlineTable, task: str) -> Sequence[dict[str, Any]]:
    found = (table.cells.get((task, level)) for level, _ in skill_levels(table))
    return [row for row in found if row is not None]


def _blind(row: dict[str, Any] | None) -> float | None:
    return None if row is None else row.get("blind")


def notes_of(table: HeadlineTable) -> Iterable[str]:
    """All notes below a headline table, those on blind scores first."""
    return (*blind_notes(table), *table.notes)
