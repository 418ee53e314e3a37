"""Comparisons that were made before, kept beside the records by what writes there: they save time, nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glu_lib.results.writing import write_atomically

FILE = ".significance.json"  # may be deleted at any time: it only saves time


@dataclass(slots=True)
class Remembered:
    """JSON values by the state of the files that they were computed from; only what is asked for again is kept.

    Saved by what writes into the results folder anyway (a run, `consolidate`, `report`); what only reads uses it.
    """

    path: Path
    _known: dict[str, Any] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Remembered:
        """What is remembered in a results folder; nothing where the file is missing or unreadable."""
        path = root / FILE
        with contextlib.suppress(OSError, ValueError, RecursionError):
            known = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(known, dict):
                return cls(path, known)
        return cls(path)

    def get(self, key: str) -> Any | None:
        """The value of `key`, or None."""
        if key in self._known:
            self._used[key] = self._known[key]
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember a JSON value under `key`."""
        self._known[key] = self._used[key] = value

    def save(self) -> None:
        """Write what was used; a folder that cannot be written forgets, nothing else."""
        with contextlib.suppress(OSError):
            write_atomically(self.path, json.dumps(self._used, allow_nan=False).encode())


def state_of(paths: Iterable[Path], *parameters: object) -> str:
    """A digest of files by name, size and time of change, and of what else a value depends on."""
    digest = hashlib.sha256(repr(parameters).encode())
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
