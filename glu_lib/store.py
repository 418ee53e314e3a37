"""Where records and samples lie, how they are written so that a kill loses nothing, and what counts as done."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glu_lib.cases import Case
from glu_lib.done_key import differences
from glu_lib.errors import RecordError

RECORDS = "individual_files"
SAMPLES = "samples"
LM_EVAL = "lm_eval"
EMISSIONS = "codecarbon"  # CodeCarbon's own rows, as it writes them


class Status(StrEnum):
    """State of a case: a matching record, an outdated one, an unreadable one, or none."""

    DONE = "done"
    STALE = "stale"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class CaseState:
    """Status of a case, where its record is or will be, and why it is not done."""

    status: Status
    path: Path
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A results folder: `individual_files/<model>/<level>/<case>.json` and the samples beside it."""

    root: Path

    def record_path(self, case: Case, limit: int | None) -> Path:
        """File of a case's record; a limited run has its own, so that a quick look replaces no full result."""
        return self.root / RECORDS / case.model.key / case.pruning.key / f"{_stem(case, limit)}.json"

    def samples_path(self, case: Case, limit: int | None) -> Path:
        """File of a case's samples, one JSON object per line, gzipped."""
        return self.root / SAMPLES / case.model.key / case.pruning.key / f"{_stem(case, limit)}.jsonl.gz"

    def samples_of(self, record: str) -> Path:
        """File of the samples of a record, the record given by its path below the results folder."""
        return self.root / SAMPLES / Path(record).relative_to(RECORDS).with_suffix(".jsonl.gz")

    def lm_eval_folder(self, case: Case, limit: int | None) -> Path:
        """Folder of lm-eval's own files of a case."""
        return self.root / LM_EVAL / case.model.key / case.pruning.key / _stem(case, limit)

    def state(self, case: Case, key: dict[str, Any]) -> CaseState:
        """Whether `case` is done: a readable record whose done key equals `key`."""
        path = self.record_path(case, key.get("limit"))
        if not path.exists():
            return CaseState(Status.PENDING, path)
        try:
            record = read_record(path)
        except RecordError as error:
            return CaseState(Status.STALE, path, str(error))
        reasons = differences(record["done_key"], key) or list(self._missing(record))
        return CaseState(Status.STALE if reasons else Status.DONE, path, ", ".join(reasons))

    def _missing(self, record: dict[str, Any]) -> Iterator[str]:
        """What a record of its kind must hold and this one does not."""
        wanted = {"accuracy": ("score", "energy", "samples"), "energy": ("repeats", "profile")}
        for name in ("case", "pruning", "timing", "environment", *wanted.get(str(record.get("kind")), ())):
            if not record.get(name):
                yield f"the record lacks {name}"
        if isinstance(samples := record.get("samples"), dict):
            path = self.root / str(samples.get("file"))
            if not path.is_file() or path.stat().st_size == 0:
                yield f"its samples {path} are missing"

    def check_writable(self) -> None:
        """Make the folder and try to write there, before hours are spent.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise RecordError(
                f"--results-dir {str(self.root)!r} cannot be written ({error.strerror}); choose another folder"
            ) from error

    def write(self, case: Case, limit: int | None, record: dict[str, Any], samples: Iterable[dict[str, Any]]) -> Path:
        """Write samples, then the record: only the record makes a case done.

        Raises:
            RecordError: if the folder cannot be written; what was there stays as it was.
        """
        path = self.record_path(case, limit)
        try:
            if lines := [json.dumps(sample, allow_nan=False, ensure_ascii=False) for sample in samples]:
                # mtime 0: the same samples give the same bytes.
                text = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)
                write_atomically(self.samples_path(case, limit), text)
            text = json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1).encode()
            write_atomically(path, text + b"\n")
        except OSError as error:
            raise RecordError(
                f"{path}: the record cannot be written ({error.strerror}); free space, or choose another --results-dir"
            ) from error
        return path

    def read_samples(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """The samples a record names, in the order they were scored.

        Raises:
            RecordError: if they are missing or unreadable.
        """
        path = self.root / record["samples"]["file"]
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordError(f"{path}: samples cannot be read ({error}); run the case again with --rerun") from error

    def record_paths(self) -> Iterator[Path]:
        """Every record file, in a fixed order."""
        yield from sorted((self.root / RECORDS).glob("*/*/*.json"))

    def record_paths_of(self, model: str, level: str) -> Iterator[Path]:
        """Record files of one (model, level), in a fixed order."""
        yield from sorted((self.root / RECORDS / model / level).glob("*.json"))

    def relative(self, path: Path) -> str:
        """`path` below the results folder, with forward slashes, as records name it."""
        return path.relative_to(self.root).as_posix()


def read_record(path: Path) -> dict[str, Any]:
    """A record as a dictionary.

    Raises:
        RecordError: if the file is no complete record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a readable record ({error}); delete it or run the case again") from error
    if not isinstance(record, dict) or not isinstance(record.get("done_key"), dict):
        raise RecordError(f"{path}: not a record of this suite (no done_key); delete it or move it elsewhere")
    return record


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, sync it and rename it: a reader sees all or nothing.

    Raises:
        OSError: if the folder cannot be written; no temporary file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
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


def _stem(case: Case, limit: int | None) -> str:
    return case.id if limit is None else f"{case.id}-limit{limit}"
