"""A cache of computed comparisons in the results folder; it only saves time."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glu_lib.results.cached import read_cache, write_cache
from glu_lib.results.collapse import LIMIT

FILE = ".significance.json"  # may be deleted at any time: it only saves time
STATISTICS = 10  # increased when the computation of a test or an interval changes, which invalidates saved comparisons


@dataclass(slots=True)
class Remembered:
    """A cache of JSON values, keyed by the state of the files that they were computed from.

    Commands that write into the results folder anyway (a run, `consolidate`, `report`) save it; all others only read
    it. Values that were not used since loading are dropped on saving.
    """

    path: Path
    _known: dict[str, Any] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Remembered:
        """Load the cache of a results folder; empty if the file is missing or unreadable."""
        path = root / FILE
        return cls(path, read_cache(path) or {})

    def get(self, key: str) -> Any | None:
        """The value of `key`, or None; a value found is kept on saving."""
        if key in self._known:
            self._used[key] = self._known[key]
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value under `key`."""
        self._known[key] = self._used[key] = value

    def save(self) -> None:
        """Write the used values; if the folder cannot be written, they are computed again next time."""
        write_cache(self.path, self._used)


def state_of(paths: Iterable[Path], *parameters: object) -> str:
    """Cache key: a digest of the files' names, sizes and modification times, and of other parameters of a value."""
    digest = hashlib.sha256(repr(parameters).encode())
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def has_its_types(found: Any) -> bool:
    """Whether the fields of a dataclass have their declared types, and numbers are finite."""
    for name, expected in type(found).__annotations__.items():
        value = getattr(found, name)
        if value is None and "None" in expected:
            continue
        if "str" in expected and not isinstance(value, str):
            return False
        if "bool" in expected and not isinstance(value, bool):
            return False
        if ("float" in expected or "int" in expected) and not _is_finite(value):
            return False
    return True


def _is_finite(value: Any) -> bool:
    # `type` and not isinstance: bool is a subclass of int. NaN fails both comparisons.
    return type(value) in (int, float) and -LIMIT <= value <= LIMIT
