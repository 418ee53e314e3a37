"""Why a record is stale: its done key differs, or a part is missing or wrong (changed files: `record.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glu_lib.errors import one_line
from glu_lib.results.record import SEAL
from glu_lib.results.recorded_energy import wrong_energies
from glu_lib.study import Task
from glu_lib.study.cases import Case, CaseKind

SCHEMA_VERSION = 1
_ABSENT = "absent"
# Parts of the records of each kind, besides the parts of all records.
_PARTS: dict[CaseKind, dict[str, type]] = {
    CaseKind.ACCURACY: dict.fromkeys(("score", "energy", "samples"), dict),
    CaseKind.ENERGY: {"repeats": list, "profile": dict},
    CaseKind.ARCHITECTURE: {},
    CaseKind.LAYERS: {"scan": dict},
}

Doubts = Callable[[dict[str, Any]], Iterable[str]]


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


def missing_parts(case: Case, record: Mapping[str, Any]) -> Iterator[str]:
    """Parts of a record of `case` that are missing or wrong, one line each; `Store.state` checks its samples."""
    types = dict.fromkeys(("case", "pruning", "timing", "environment"), dict) | {SEAL: str} | _PARTS[case.kind]
    for name, expected in types.items():
        if not record.get(name) or not isinstance(record[name], expected):
            yield f"the record lacks {name}"
    said = record.get("case")
    if isinstance(said, dict) and said.get("id") != case.id:
        yield f"the record is of {said.get('id')}"
    if record.get("kind") != case.kind:
        yield f"the record is of kind {record.get('kind')}"
    yield from wrong_energies(record)


def headline_differences(task: Task, score: Mapping[str, Any]) -> Iterator[str]:
    """Why a record's headline metric is not that of `task`: another metric, or another better side."""
    headline = score.get("headline")
    if not isinstance(headline, Mapping):
        yield "the record lacks a headline"
    elif headline.get("label") != task.metric.label:
        yield f"headline metric {str(headline.get('label'))[:40]} -> {task.metric.label}"
    elif headline.get("higher_is_better") != task.metric.higher_is_better:
        yield "the headline metric's better side differs"


def _shown(value: Any) -> str:
    text = "none" if value is None else one_line(str(value))
    return text if len(text) <= 40 else f"{text[:37]}…"
