"""What blind answers score on the published tasks, and what is left of the published scores above that."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from glu_lib.analysis.published.energy_tables import PUBLISHED_DIR
from glu_lib.analysis.significance import ALPHA
from glu_lib.analysis.skill import is_above, skill_of
from glu_lib.analysis.table import Row
from glu_lib.study import STUDY

BLIND_TABLE = "glu_lib/analysis/published/blind.csv"
# Metrics that are right or wrong per item. Not among them: truthfulqa_mc2's acc, a probability mass, and inst_level_*,
# which counts instructions.
SHARES = frozenset({"acc", "acc_norm", "exact_match", "prompt_level_strict_acc", "prompt_level_loose_acc"})
NO_SHARES = frozenset({"truthfulqa_mc2"})
_PERPLEXITY = "perplexity"  # suffix of the metrics whose skill is taken of logarithms
# Of leaderboard_musr the table has 30 of 756 items: too few to choose the best of five controls by.
_INCOMPLETE = frozenset({"leaderboard_musr"})


class Verdict(StrEnum):
    """What a published curve shows beside the blind score of its task."""

    NO_SKILL = "no skill shown"
    GAINED = "better than blind at some pruned levels only"
    LOST = "not shown to end better than blind"
    KEPT = "ends better than blind"
    UNKNOWN = "no blind score is known"


@dataclass(frozen=True, slots=True)
class BesideBlind:
    """A published curve of one task beside what blind answers get.

    `controls` are the blind answers' scores, the best first. `highest` is the best score of a pruned level,
    `highest_percent` its level. `last` is the score of the narrowest level, `last_percent` that level, `skill` what it
    keeps (None: nothing to lose, or not known). `blind_percents` are the levels that are not better than blind.
    `curve` holds expansion ratio and score of each level. `is_rise` says whether the narrowest level has a better score
    than the unpruned model.
    """

    model: str
    task: str
    metric: str
    controls: Mapping[str, float]
    unpruned: float
    highest: float
    highest_percent: int
    last: float
    last_percent: int
    skill: float | None
    blind_percents: tuple[int, ...]
    curve: tuple[tuple[float, float], ...]
    is_rise: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TaskControls:
    """Scores of a task's blind answers, the best first, over `items` items."""

    scores: Mapping[str, float]
    items: int

    @property
    def best(self) -> tuple[str, float]:
        """Name and score of the best blind answer."""
        return next(iter(self.scores.items()))


@cache
def published_controls() -> Mapping[str, TaskControls]:
    """The blind answers of the study's tasks by task, from blind.csv; tasks without complete data are left out."""
    with (PUBLISHED_DIR / "blind.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["task"] not in _INCOMPLETE]
    found = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        known = STUDY.tasks[task]
        wanted = (task, known.lm_eval_name, known.metric.label)  # not its sub-tasks
        mine = [row for row in rows if (row["task"], row["lm_eval_task"], row["metric"]) == wanted]
        scores = {row["control"]: float(row["score"]) for row in mine}
        order = sorted(scores, key=lambda name: scores[name], reverse=STUDY.tasks[task].metric.higher_is_better)
        found[task] = TaskControls({name: scores[name] for name in order}, int(mine[0]["items"]))
    return found


def with_blind(rows: Sequence[Row]) -> list[Row]:
    """The rows with blind score, skill and `is_blind` of the headline metrics whose controls are known.

    Skill is a point value: without the items there is no interval. It is None where the unpruned model is not better
    than blind.
    """
    unpruned = {(row["model"], row["subject"]): row for row in rows if row["is_headline"] and row["percent"] == 0}
    return [row | _columns(row, unpruned.get((row["model"], row["subject"]))) for row in rows]


def _columns(row: Row, unpruned: Row | None) -> Row:
    known = published_controls().get(row["subject"])
    if not row["is_headline"] or known is None:
        return {}
    control, blind = known.best
    p, is_blind = against_blind_score(row, blind, known.items)
    skill = None
    if unpruned and against_blind_score(unpruned, blind, known.items)[1] is not True:
        on_log_scale = row["metric"].endswith(_PERPLEXITY)
        skill = skill_of(row["value"], blind, unpruned["value"], blind, on_log_scale=on_log_scale)
    return {"blind": blind, "blind_control": control, "skill": skill, "p_blind": p, "is_blind": is_blind}


def against_blind_score(row: Row, blind: float, items: int) -> tuple[float | None, bool | None]:
    """The p of 'equal to the blind score', and whether the score is not shown to be better than blind.

    A share of right answers: the exact binomial test of its round(share · items) right answers against the blind score,
    two-sided at 5 %. It takes the blind score as fixed: without the items a paired test is not possible. Other metrics
    have no test. A score at or below blind is not better, whatever the metric; above it, without a test, None.
    """
    from scipy.stats import binomtest

    value = row["value"]
    above = is_above(value, blind, higher_is_better=row["higher_is_better"])
    if row["metric"] not in SHARES or row["subject"] in NO_SHARES:
        return None, None if above else True
    p = float(binomtest(round(value * items), items, blind).pvalue)
    return p, not (above and p < ALPHA)


def beside_blind(rows: Iterable[Row]) -> list[BesideBlind]:
    """Each task's published curve beside its blind answers, from the rows of `published_rows`."""
    curves: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["is_headline"]:
            curves.setdefault((row["model"], row["subject"]), []).append(row)
    return [_beside_blind(sorted(found, key=lambda row: row["percent"])) for found in curves.values()]


def _beside_blind(levels: Sequence[Row]) -> BesideBlind:
    first, last = levels[0], levels[-1]
    known = published_controls().get(first["subject"])
    direction = 1 if first["higher_is_better"] else -1
    highest = max(levels[1:], key=lambda row: direction * row["value"])
    return BesideBlind(
        model=first["model"],
        task=first["subject"],
        metric=STUDY.tasks[first["subject"]].metric.label,
        controls=known.scores if known else {},
        unpruned=first["value"],
        highest=highest["value"],
        highest_percent=highest["percent"],
        last=last["value"],
        last_percent=last["percent"],
        skill=last["skill"],
        blind_percents=tuple(row["percent"] for row in levels if row["is_blind"]),
        curve=tuple((row["expansion_ratio"], row["value"]) for row in levels),
        is_rise=direction * (last["value"] - first["value"]) > 0,
        verdict=_verdict(levels),
    )


def _verdict(levels: Sequence[Row]) -> Verdict:
    if levels[0]["blind"] is None:
        return Verdict.UNKNOWN
    if not levels[0]["is_blind"]:
        return Verdict.LOST if levels[-1]["is_blind"] else Verdict.KEPT
    return Verdict.NO_SKILL if all(row["is_blind"] for row in levels) else Verdict.GAINED


def rises_towards_blind(found: Iterable[BesideBlind]) -> Iterator[BesideBlind]:
    """The curves that end higher than they began, although no level is better than blind."""
    return (item for item in found if item.is_rise and item.verdict is Verdict.NO_SKILL)
