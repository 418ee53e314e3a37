"""The lines of a journal of answers: JSON with a checksum, so that a torn line is detected."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from glu_lib.errors import one_line

LONGEST_TEXT = 200  # characters of each field that describes an earlier run
_LONGEST_LINE = 1 << 20  # bytes of the first line, which holds the binding


def line_of(content: Mapping[str, Any]) -> bytes:
    """A line of a journal: the checksum and the content as JSON."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def whole_lines(data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """Lines with a valid checksum, each with the byte offset of its end; damaged lines are skipped."""
    start = 0
    while (stop := data.find(b"\n", start)) >= 0:
        checksum, _, text = data[start:stop].partition(b" ")
        start = stop + 1
        if checksum == b"%08x" % zlib.crc32(text):
            with suppress(ValueError, RecursionError):
                if isinstance(line := json.loads(text, parse_constant=_no_answer), dict):
                    yield line, start


def _no_answer(name: str) -> float:
    raise ValueError(f"{name} is not an answer")  # older versions wrote NaN


def is_bound(path: Path, binding: Mapping[str, Any]) -> bool:
    """Whether the journal at `path` has this `binding`; only its first line is read."""
    try:
        with path.open("rb") as file:
            return has_binding(next(whole_lines(file.readline(_LONGEST_LINE)), None), binding)
    except OSError:
        return False


def run_start(path: Path) -> str | None:
    """When the last run that wrote the journal at `path` began its case, UTC; None if the journal does not say."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    starts = [line["run"].get("started_at") for line, _ in whole_lines(data) if isinstance(line.get("run"), dict)]
    return one_line(str(starts[-1]))[:LONGEST_TEXT] if starts and starts[-1] else None


def has_binding(line: tuple[dict[str, Any], int] | None, binding: Mapping[str, Any]) -> bool:
    """Whether a line of `whole_lines`, the first of a journal, holds this binding."""
    return line is not None and line[0].get("binding") == json.loads(json.dumps(binding))
