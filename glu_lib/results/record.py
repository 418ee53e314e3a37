"""Records in files: their seal (SHA-256), and reading one from a file that may come from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.results.cached import is_regular
from glu_lib.results.records import AccuracyRecord, Record, parse_record
from glu_lib.study import Task
from glu_lib.study.baselines import level_name
from glu_lib.study.cases import Case

SEAL = "sha256"
_sealed_text = json.JSONEncoder(allow_nan=False, sort_keys=True, separators=(",", ":")).encode
# Errors that reading samples or other files with unexpected values can raise; which one depends on their content.
MALFORMED = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)


def build_record(
    case: Case,
    key: dict[str, Any],
    environment: Mapping[str, Any],
    pruning: Mapping[str, Any],
    **parts: Any,
) -> dict[str, Any]:
    """A record: the measured `parts`, the pruning, the environment and the done key, all as JSON values."""
    return {
        "kind": str(case.kind),
        "case": case_fields(case),
        "done_key": key,
        "pruning": dict(pruning),
        **parts,
        "environment": dict(environment),
    }


def case_fields(case: Case) -> dict[str, Any]:
    """The case as JSON values: id, model, level, subject, suites."""
    return {
        "id": case.id,
        "model": case.model.key,
        "percent": case.pruning.percent,
        **({"asked": str(case.pruning.asked)} if case.pruning.asked else {}),
        "level": case.pruning.key,
        "method": case.pruning.selection.key if case.pruning.selects else None,
        "divisor": case.pruning.divisor,
        **({"layers": case.pruning.layers.text, "percent_of": case.pruning.percent_of} if case.pruning.layers else {}),
        **({"control": str(case.pruning.control)} if case.pruning.control else {}),
        **({"baseline": case.model.baseline} if case.model.baseline else {}),
        **({"baseline_level": level_name(case.model.level)} if case.model.level else {}),
        "subject": case.subject_key,
        **({"prompt_format": str(case.subject.prompt_format)} if isinstance(case.subject, Task) else {}),
        "suites": list(case.suites),
    }


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: if the file is not a complete record, was changed after it was written, or holds a wrong value.
    """
    values = read_values(path)
    try:
        return parse_record(values)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def read_scored(path: Path) -> AccuracyRecord:
    """Read the record of a scored case.

    Raises:
        RecordError: as `read_record`, and if the record is of another kind.
    """
    record = read_record(path)
    if not isinstance(record, AccuracyRecord):
        raise RecordError(f"{path}: a record of kind {record.kind}, not of a scored case; run the case again")
    return record


def read_values(path: Path) -> dict[str, Any]:
    """The JSON values of a record's file, its seal checked, its fields not.

    Raises:
        RecordError: if the file is not a record, or was changed after it was written.
    """
    if not is_regular(path):
        raise RecordError(f"{path}: not a regular file (a link, a pipe, a folder); put the record itself there")
    try:
        record = json.loads(path.read_bytes().decode(), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a readable record ({error}); delete it or run the case again") from error
    if not isinstance(record, dict) or not isinstance(record.get("done_key"), dict):
        raise RecordError(f"{path}: not a record of this suite (no done_key); delete it or move it elsewhere")
    try:
        is_changed = SEAL in record and sealed(record)[SEAL] != record[SEAL]
    except (ValueError, RecursionError) as error:  # json.loads reads 1e999 as infinity
        raise RecordError(f"{path}: not a readable record ({error}); delete it or run the case again") from error
    if is_changed:
        raise RecordError(
            f"{path}: was changed after it was written (its {SEAL} differs); restore it or run the case again"
        )
    return record


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a SHA-256 of its content, so that later changes are detected; order and layout do not matter."""
    content = {name: value for name, value in record.items() if name != SEAL}
    return content | {SEAL: hashlib.sha256(_sealed_text(content).encode()).hexdigest()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number that records may hold")
