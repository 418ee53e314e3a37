"""The summary of the last run, kept in the results folder: a run that changes nothing shows it without computing it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import glu_lib
from glu_lib.errors import one_line
from glu_lib.results.address import SAMPLES
from glu_lib.results.cached import read_cache, write_cache
from glu_lib.results.folder import RECORDS

FILE = ".summary.json"  # may be deleted at any time: it only saves time
Line = tuple[str, bool]  # its text, and whether it is a warning


@dataclass(frozen=True, slots=True)
class LastSummary:
    """The lines of the last summary of a results folder, valid while nothing that they show has changed.

    They depend on the records and samples (names, sizes, modification times), on the code of this package, and on
    `parameters`: the cases, the study, and the width of the terminal. The files that the run wrote must still be there
    in the size that they had.
    """

    root: Path
    key: str

    @classmethod
    def of(cls, root: Path, *parameters: object) -> LastSummary:
        """The last summary of a results folder."""
        digest = hashlib.sha256(repr(parameters).encode())
        package = Path(glu_lib.__file__).parent
        for folder in (package, root / RECORDS, root / SAMPLES):
            for path, found in sorted(_files(folder)):
                digest.update(f"{path} {found}\n".encode())
        return cls(root, digest.hexdigest())

    def lines(self) -> list[Line] | None:
        """The lines, or None if they have to be computed anew."""
        found = read_cache(self.root / FILE) or {}
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # written by somebody else
            if found["key"] == self.key and found["written"] == self._sizes(found["written"]):
                return [(one_line(text), bool(is_warning)) for text, is_warning in found["lines"]]
        return None

    def save(self, lines: Sequence[Line], written: Iterable[Path]) -> None:
        """Keep the lines, and the sizes of the files that they name."""
        with suppress(OSError, ValueError):  # a file was deleted meanwhile
            sizes = self._sizes(path.relative_to(self.root).as_posix() for path in written)
            write_cache(self.root / FILE, {"key": self.key, "written": sizes, "lines": lines})

    def _sizes(self, names: Iterable[str]) -> dict[str, int]:
        return {name: (self.root / name).stat().st_size for name in names}


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Path, and size and modification time, of all files below `folder`.

    Links to folders are not followed; what they hold counts as changed each time.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(Path(entry.path))
            elif entry.is_dir():
                yield entry.path, str(time.time_ns())
            else:
                with suppress(OSError):  # a link to nowhere, which the tables name
                    found = entry.stat()
                    yield entry.path, f"{found.st_size} {found.st_mtime_ns}"
