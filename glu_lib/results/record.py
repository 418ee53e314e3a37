"""A record: its fields, its seal (SHA-256), and reading it from a file that may come from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.study import PromptFormat, Task
from glu_lib.study.cases import Case
from glu_lib.study.layers import PercentOf

SEAL = "sha256"
# Errors that reading a record with unexpected values can raise; which one depends on the record's content.
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
        "level": case.pruning.key,
        "method": case.pruning.selection.key if case.pruning.selects else None,
        "divisor": case.pruning.divisor,
        **({"layers": case.pruning.layers.text, "percent_of": case.pruning.percent_of} if case.pruning.layers else {}),
        **({"control": str(case.pruning.control)} if case.pruning.control else {}),
        "subject": case.subject_key,
        **({"prompt_format": str(case.subject.prompt_format)} if isinstance(case.subject, Task) else {}),
        "suites": list(case.suites),
    }


def prompt_format(record: Mapping[str, Any]) -> PromptFormat:
    """The prompt format of an accuracy record: plain text or chat template.

    Early records lack the field; early versions applied the chat template to every task of instruct variants.

    Raises:
        RecordError: if a chat template was applied to a task with plain prompts.
    """
    found = PromptFormat(record["case"].get("prompt_format", PromptFormat.PLAIN))
    if found is PromptFormat.PLAIN and record["done_key"].get("chat template") is not None:
        raise RecordError(
            f"{record['case']['id']}: scored with the chat template, but the task's prompts are plain; run the case "
            "again, or the task's chat variant"
        )
    return found


def pruned_layers(record: Mapping[str, Any]) -> str | None:
    """The pruned layers of a record as a table shows them: `1-29`, `1-29 of the model`; None for all layers.

    Records of earlier versions pruned all.
    """
    pruning = record["pruning"]
    found: str | None = pruning.get("layers")
    return f"{found} of the model" if found and pruning.get("percent_of") == PercentOf.MODEL else found


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        RecordError: if the file is not a complete record, or was changed after it was written.
    """
    if path.is_symlink() or not path.is_file():
        raise RecordError(f"{path}: not a regular file (a link, a pipe, a folder); put the record itself there")
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
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
    text = json.dumps(content, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return content | {SEAL: hashlib.sha256(text.encode()).hexdigest()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number that records may hold")
