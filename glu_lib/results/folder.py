"""The folder that results go to: whether it is there, can be written, and holds what is written into it."""

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
RANDOM_WEIGHTS_FOLDER = "random_weights"  # figures of random weights never stand beside those of real ones


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A results folder; nothing is written outside it, and nothing makes it anew once it was there."""

    root: Path

    def is_inside(self, path: Path) -> bool:
        """Whether `path` lies in the results folder when links are followed."""
        return path.resolve().is_relative_to(self.root.resolve())

    def check_usable(self) -> None:
        """See that results can be written here; nothing is left behind: what is not there yet is only tried to be made.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        with self._explained():
            if self.root.is_symlink() and not self.root.exists():
                raise RecordError(
                    f"--results-dir {str(self.root)!r} is a link to nothing; mount or make what it leads to"
                )
            above = self.root.parent.parent if self.root.name == RANDOM_WEIGHTS_FOLDER else self.root.parent
            if not above.is_dir():
                raise RecordError(
                    f"--results-dir {str(self.root)!r}: there is no folder {above}; "
                    "mount the drive, or make it (mkdir -p)"
                )
            if not self.root.exists():
                with tempfile.TemporaryDirectory(dir=next(filter(Path.exists, self.root.parents))) as made:
                    try_to_write(Path(made))
                return
            for path in filter(lambda path: not self.is_inside(path), self.root.iterdir()):
                raise RecordError(f"{path} is a link out of the results folder; put a folder in its place")
            for folder in filter(Path.exists, (self.root, self.root / RECORDS)):
                try_to_write(folder)

    def check_writable(self) -> None:
        """Make the folder, with that of the records in it, once it is known to be usable; before hours are spent.

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
                f"--results-dir {str(self.root)!r} cannot be written ({error.strerror}); free space or rights, or "
                "choose another folder"
            ) from error

    def is_there(self) -> bool:
        """Whether the folder is the one that `check_writable` made or found.

        A drive that was unmounted leaves no folder, or an empty one: what is written there is lost to its user.
        """
        return (self.root / RECORDS).is_dir()

    def make_room(self, path: Path) -> None:
        """Make the folders between the results folder and `path`; the results folder itself must be there.

        Raises:
            OSError: if it is gone or cannot be written.
        """
        if not self.is_there():
            raise FileNotFoundError(errno.ENOENT, f"the results folder {self.root} is gone: mount it again")
        self.check_inside(path)
        path.parent.mkdir(parents=True, exist_ok=True)

    def check_inside(self, path: Path) -> None:
        """See that what is written or deleted at `path` lies in the folder: one from elsewhere may hold links.

        Raises:
            PermissionError: naming where a link leads.
        """
        if path.is_symlink() or not self.is_inside(path):
            raise PermissionError(errno.EPERM, f"{path} is a link, or behind one, to {path.resolve()}: remove the link")

    def relative(self, path: Path) -> str:
        """`path` below the results folder, with forward slashes, as records name it."""
        return path.relative_to(self.root).as_posix()
