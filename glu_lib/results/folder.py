"""The results folder: checks that it exists and can be written, and that no path leads out of it."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from glu_lib.errors import RecordError
from glu_lib.results.writing import try_to_write

RECORDS = "individual_files"
RANDOM_WEIGHTS_FOLDER = "random_weights"  # keeps results of random weights apart from those of real weights


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A results folder. Nothing is written outside it, and a folder that disappears during a run is not recreated."""

    root: Path

    def is_inside(self, path: Path) -> bool:
        """Whether `path`, with links resolved, is inside the results folder."""
        return path.resolve().is_relative_to(self.root.resolve())

    def check_usable(self) -> None:
        """Check that results can be written here, by creating and deleting temporary files.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        with self._explained():
            if self.root.is_symlink() and not self.root.exists():
                raise RecordError(
                    f"--results-dir {str(self.root)!r} is a broken link; mount or create the folder it points to"
                )
            above = self.root.parent.parent if self.root.name == RANDOM_WEIGHTS_FOLDER else self.root.parent
            if not above.is_dir():
                raise RecordError(
                    f"--results-dir {str(self.root)!r}: there is no folder {above}; "
                    "mount the drive, or create it (mkdir -p)"
                )
            if not self.root.exists():
                with tempfile.TemporaryDirectory(dir=next(filter(Path.exists, self.root.parents))) as made:
                    try_to_write(Path(made))
                return
            for path in filter(lambda path: not self.is_inside(path), self.root.iterdir()):
                raise RecordError(f"{path} is a link out of the results folder; replace it by a folder")
            for folder in filter(Path.exists, (self.root, self.root / RECORDS)):
                try_to_write(folder)

    def check_writable(self) -> None:
        """Check the folder as `check_usable` does, then create it with its folder of records.

        A run calls this before its first case, so that a wrong path costs seconds and not hours.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        self.check_usable()
        with self._explained():
            (self.root / RECORDS).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordError(
                f"--results-dir {str(self.root)!r} cannot be written ({error.strerror}); check free space and "
                "permissions, or choose another folder"
            ) from error

    def is_there(self) -> bool:
        """Whether the folder still holds the folder of records that `check_writable` created or found.

        An unmounted drive leaves no folder or an empty mount point; results written there would be lost.
        """
        return (self.root / RECORDS).is_dir()

    def make_room(self, path: Path) -> None:
        """Create the folders between the results folder and `path`; the results folder itself must exist.

        Raises:
            OSError: if the results folder is gone or cannot be written.
        """
        if not self.is_there():
            raise FileNotFoundError(errno.ENOENT, f"the results folder {self.root} is gone: mount it again")
        self.check_inside(path)
        path.parent.mkdir(parents=True, exist_ok=True)

    def check_inside(self, path: Path) -> None:
        """Check that `path` is not a link or behind one: a folder from an unknown source may hold links out of it.

        Raises:
            PermissionError: naming the link's target.
        """
        if path.is_symlink() or not self.is_inside(path):
            raise PermissionError(errno.EPERM, f"{path} is a link, or behind one, to {path.resolve()}: remove the link")

    def relative(self, path: Path) -> str:
        """`path` relative to the results folder, with forward slashes, as records name files."""
        return path.relative_to(self.root).as_posix()
