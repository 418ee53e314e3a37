"""Writing files so that a kill or a full disk loses nothing that was there: all or nothing, synced, no litter."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from glob import escape
from pathlib import Path

_TEMPORARY = ".tmp"
_LITTER_S = 3600.0  # nobody writes one file for so long
_PROBE_BYTES = 4096  # a full disk still makes empty files


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Write `data` at `offset` of a file that may not exist yet, drop what stood behind it, and sync.

    Raises:
        OSError: if it cannot be written; what stands before `offset` stays.
    """
    # A link in its place is refused, not followed.
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_litter(path: Path, older_s: float = 0.0) -> None:
    """Delete the temporary files that killed runs left beside `path`.

    Args:
        path: a file that was just written.
        older_s: only those that are older than it by so many seconds, where others may be writing it now.
    """
    with suppress(OSError):  # litter hurts nobody
        for temporary in path.parent.glob(f".{escape(path.name)}.*{_TEMPORARY}"):
            if path.stat().st_mtime - temporary.stat().st_mtime >= older_s:
                temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, sync it and rename it: a reader sees all or nothing.

    Raises:
        OSError: if the folder cannot be written; no temporary file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; records are meant to be shared.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    remove_litter(path, _LITTER_S)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the file system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def try_to_write(folder: Path) -> None:
    """Write some bytes to a file without a name in `folder`, down to the disk.

    Raises:
        OSError: if that cannot be done: no rights, no space, no folder.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
