"""Writes exported files: names that leave no folder, strict JSON, one line for what cannot be exported."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.results.record import MALFORMED
from glu_lib.results.records import EnergyRecord
from glu_lib.results.writing import write_atomically

_NAME = re.compile(r"(?!\.+$)[\w.-]{1,200}", re.ASCII)  # level keys hold dots: `r2.4x`


def export_each(
    records: Iterable[EnergyRecord], folder: Path, ending: str, content: Callable[[EnergyRecord], dict[str, Any]]
) -> tuple[list[Path], list[str]]:
    """Write `<folder>/<case><ending>` for each energy record (`<case>-limit<N>` for a limited run).

    Args:
        records: the records.
        folder: the folder of the format.
        ending: the end of each path.
        content: the JSON values of a record.

    Returns:
        The paths, and one message per record that cannot be exported.

    Raises:
        RecordError: if the folder cannot be written.
    """
    paths, problems = [], []
    for record in records:
        try:
            path, data = folder / f"{_case_name(record)}{ending}", as_json(content(record))
        except RecordError as error:
            problems.append(str(error))
        except MALFORMED as error:
            problems.append(f"energy record {record.case.id!r} is malformed ({type(error).__name__}: {error})")
        else:
            paths.append(write(path, data))
    return paths, problems


def as_json(content: dict[str, Any]) -> bytes:
    """JSON values as text of a file.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def write(path: Path, data: bytes) -> Path:
    """Write a file; returns its path.

    Raises:
        RecordError: if it cannot be written.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written ({error.strerror}); check free space and permissions") from error
    return path


def checked_name(text: str) -> str:
    """`text` if it can be the name of a file or a folder.

    Raises:
        ValueError: if it cannot. A record may come from another machine, and its path must not leave the folder.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name for a file")
    return text


def stable_uuid(text: str) -> str:
    """A UUID of version 4 that depends on `text` alone, so that the same content keeps its file name."""
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))


def _case_name(record: EnergyRecord) -> str:
    """The name of a record's file: its case id, and its prompt limit if it has one.

    Raises:
        ValueError: if the case id is no name.
    """
    case, limit = record.case.id, record.done_key.limit
    if not _NAME.fullmatch(case):
        raise ValueError(f"{case!r} is not a case id")
    return case if limit is None else f"{case}-limit{limit}"
