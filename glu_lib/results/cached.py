"""Caches in a results folder: JSON objects that only save time. The folder may come from somebody else."""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from glu_lib.results.writing import write_atomically

_MOST_BYTES = 1 << 28  # comparisons of 10,000 records take some 10 MB


def is_regular(path: Path) -> bool:
    """Whether `path` is a file itself: no link, no pipe (reading it could wait for ever), no folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def read_cache(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if it is missing, unreadable, too large, or anything else."""
    with suppress(OSError, ValueError, RecursionError):
        if is_regular(path) and path.stat().st_size <= _MOST_BYTES:
            found = json.loads(path.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
    return None


def write_cache(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object; if the folder cannot be written, it is computed again next time."""
    with suppress(OSError):
        write_atomically(path, json.dumps(content, allow_nan=False).encode())
