"""Why a record is stale: its done key differs, or it is of another case, or its headline differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glu_lib.errors import one_line
from glu_lib.results.record import SEAL
from glu_lib.results.records import Record, Score
from glu_lib.study import Task
from glu_lib.study.baselines import level_name
from glu_lib.study.cases import Case

_ABSENT = "absent"

Doubts = Callable[[Record], Iterable[str]]


class Status(StrEnum):
    """State of a case: a matching record (done), an outdated or unreadable record (stale), or no record (pending)."""

    DONE = "done"
    STALE = "stale"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class CaseState:
    """Status of a case, the path of its record (written or not), and the reason why it is stale."""

    status: Status
    path: Path
    reason: str = ""


def differences(recorded: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Fields in which a record's done key differs from the one wanted, as `few-shot 0 -> 5`."""
    names = [*wanted, *(name for name in recorded if name not in wanted)]
    return [
        f"{one_line(name)} {_shown(recorded.get(name, _ABSENT))} -> {_shown(wanted.get(name, _ABSENT))}"
        for name in names
        if recorded.get(name, _ABSENT) != wanted.get(name, _ABSENT)
    ]


def of_another(case: Case, found: Mapping[str, Any]) -> Iterator[str]:
    """Why the JSON values of a record are not those of `case`: another case, another kind, or no seal."""
    said = found.get("case")
    if isinstance(said, dict) and said.get("id") != case.id:
        yield f"the record is of {said.get('id')}"
    if found.get("kind") != case.kind:
        yield f"the record is of kind {found.get('kind')}"
    if not found.get(SEAL):
        yield f"the record lacks {SEAL}"


def headline_differences(task: Task, score: Score) -> Iterator[str]:
    """Why a record's headline metric is not that of `task`: another metric, or another better side."""
    if score.headline.label != task.metric.label:
        yield f"headline metric {score.headline.label[:40]} -> {task.metric.label}"
    elif score.headline.higher_is_better != task.metric.higher_is_better:
        yield "the headline metric's better side differs"


def baseline_differences(case: Case, record: Record) -> Iterator[str]:
    """Why a record says that its checkpoint is compared with another model or level than the study does."""
    wanted = (case.model.baseline, level_name(case.model.level))
    found = (record.case.baseline, record.case.baseline_level)
    if found != wanted:
        before, after = (" ".join(filter(None, pair)) or "none" for pair in (found, wanted))
        yield f"baseline {before} -> {after}"


def _shown(value: Any) -> str:
    text = "none" if value is None else one_line(str(value))
    return text if len(text) <= 40 else f"{text[:37]}…"
