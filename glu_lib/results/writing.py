"""Atomic, synced writing: a kill or a full disk leaves the earlier file intact and no temporary files."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from glob import escape
from pathlib import Path

_TEMPORARY = ".tmp"
_LITTER_S = 3600.0  # no write takes this long, so an older temporary file is abandoned
_REPLACE_WAITS_S = (0.01, 0.1, 0.5, 1.0)  # between attempts on Windows; a reader of a record is done by then
_PROBE_BYTES = 4096  # not 0: a full disk still accepts empty files


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Truncate a file at `offset`, append `data`, and sync; the file is created if it does not exist.

    Raises:
        OSError: if it cannot be written; the bytes before `offset` are kept.
    """
    # O_NOFOLLOW: a link at `path` is an error.
    # O_BINARY: without it Windows would write two bytes for each line break.
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_litter(path: Path, older_s: float = 0.0) -> None:
    """Delete the temporary files of `path` that killed runs left.

    Args:
        path: a file that was just written.
        older_s: delete only files that are at least this many seconds older than `path`; above 0 where other
            processes may be writing the same file now.
    """
    with suppress(OSError):  # a leftover temporary file does no harm
        for temporary in path.parent.glob(f".{escape(path.name)}.*{_TEMPORARY}"):
            if path.stat().st_mtime - temporary.stat().st_mtime >= older_s:
                temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file in the same folder, sync it and rename it: a reader sees all of it or nothing.

    Raises:
        OSError: if the folder cannot be written; the temporary file is deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp creates private files, but records are meant to be shared.
        Path(temporary).chmod(0o644)
        _replace(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    remove_litter(path, _LITTER_S)


def _replace(temporary: Path, path: Path) -> None:
    """Rename a file over another. Windows refuses that while someone reads the other one, so it is tried again."""
    for wait_s in _REPLACE_WAITS_S if sys.platform == "win32" else ():
        try:
            temporary.replace(path)
        except PermissionError:
            time.sleep(wait_s)
        else:
            return
    temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename survives a power cut; not all file systems support it."""
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
    """Write and sync a few bytes to an unnamed temporary file in `folder`.

    Raises:
        OSError: if that fails: no rights, no space, no folder.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
