"""The folder that results go to: whether it is there, can be written, and holds what is written into it."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from glu_lib.errors import RecordError

RECORDS = "individual_files"
RANDOM_WEIGHTS_FOLDER = "random_weights"  # figures of random weights never stand beside those of real ones
_PROBE_BYTES = 4096  # a full disk still makes empty files


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A results folder; nothing is written outside it, and nothing makes it anew once it was there."""

    root: Path

    def is_inside(self, path: Path) -> bool:
        """Whether `path` lies in the results folder when links are followed."""
        return path.resolve().is_relative_to(self.root.resolve())

    def check_writable(self) -> None:
        """Make the folder, with that of the records in it, and try to write there, before hours are spent.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        if self.root.is_symlink() and not self.root.exists():
            raise RecordError(f"--results-dir {str(self.root)!r} is a link to nothing; mount or make what it leads to")
        above = self.root.parent.parent if self.root.name == RANDOM_WEIGHTS_FOLDER else self.root.parent
        if not above.is_dir():
            raise RecordError(
                f"--results-dir {str(self.root)!r}: there is no folder {above}; mount the drive, or make it (mkdir -p)"
            )
        try:
            (self.root / RECORDS).mkdir(parents=True, exist_ok=True)
            for path in filter(lambda path: not self.is_inside(path), self.root.iterdir()):
                raise RecordError(f"{path} is a link out of the results folder; put a folder in its place")
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
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
