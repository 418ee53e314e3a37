"""Where records and samples lie, how they are written so that a kill loses nothing, and what counts as done."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
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
UNFINISHED = "unfinished"  # answers of cases that have no record yet
EMISSIONS = "codecarbon"  # CodeCarbon's own rows, as it writes them
SEAL = "sha256"
_TEMPORARY = ".tmp"
_MOST_SAMPLES_BYTES = 1 << 30  # the whole of MMLU is a hundredth of it; a few kilobytes from elsewhere may hold more
_LONGEST_NAME = 500  # characters of a path below the results folder
_PROBE_BYTES = 4096  # a full disk still makes empty files


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

    def unfinished_path(self, case: Case, limit: int | None) -> Path:
        """File of the answers that a case has before its record is written."""
        return self.root / UNFINISHED / case.model.key / case.pruning.key / f"{_stem(case, limit)}.jsonl"

    def has_unfinished(self) -> bool:
        """Whether a run was interrupted in the middle of a case here."""
        return (self.root / UNFINISHED).is_dir()

    def state(self, case: Case, key: dict[str, Any]) -> CaseState:
        """Whether `case` is done: a readable, unchanged record of it whose done key equals `key`."""
        path = self.record_path(case, key.get("limit"))
        if not path.exists():
            return CaseState(Status.PENDING, path)
        try:
            record = read_record(path)
        except RecordError as error:
            return CaseState(Status.STALE, path, str(error))
        reasons = differences(record["done_key"], key) or list(self._missing(case, record))
        return CaseState(Status.STALE if reasons else Status.DONE, path, ", ".join(reasons))

    def _missing(self, case: Case, record: dict[str, Any]) -> Iterator[str]:
        """What a record of `case` must hold and this one does not."""
        wanted = {"accuracy": ("score", "energy", "samples"), "energy": ("repeats", "profile")}
        for name in ("case", "pruning", "timing", "environment", SEAL, *wanted.get(str(record.get("kind")), ())):
            if not record.get(name):
                yield f"the record lacks {name}"
        said = record.get("case")
        if isinstance(said, dict) and said.get("id") != case.id:
            yield f"the record is of {said.get('id')}"
        if samples := record.get("samples"):
            try:
                path = self.samples_named_by(record)
                if path.stat().st_size != samples.get("bytes"):
                    yield f"its samples {path} are not those that were written with it"
            except OSError:
                yield f"its samples {path} are missing"
            except RecordError as error:
                yield str(error)

    def samples_named_by(self, record: dict[str, Any]) -> Path:
        """File of the samples of a record, as the record names it; never outside the results folder.

        Raises:
            RecordError: if it names none, or one elsewhere.
        """
        samples = record.get("samples")
        name = samples.get("file") if isinstance(samples, dict) else None
        path = self.root / str(name)
        try:
            is_name = isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_NAME
            is_inside = is_name and self._is_inside(path)
        except (OSError, ValueError):  # no name of a file at all
            is_inside = False
        if not is_inside:
            shown = repr(name)[:80]
            raise RecordError(f"{self.root}: a record names samples {shown}, which lie not in this folder; delete it")
        return path

    def _is_inside(self, path: Path) -> bool:
        """Whether `path` lies in the results folder when links are followed."""
        return path.resolve().is_relative_to(self.root.resolve())

    def check_writable(self) -> None:
        """Make the folder, with that of the records in it, and try to write there, before hours are spent.

        Raises:
            RecordError: with the system's reason and the remedy.
        """
        try:
            (self.root / RECORDS).mkdir(parents=True, exist_ok=True)
            # A folder from elsewhere may hold links: what is written would land, and be deleted, where they lead.
            for path in filter(lambda path: not self._is_inside(path), self.root.iterdir()):
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
        if not self._is_inside(path.parent):
            raise PermissionError(errno.EPERM, f"a link leads out of the results folder to {path.parent.resolve()}")
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, case: Case, limit: int | None, record: dict[str, Any], samples: Iterable[dict[str, Any]]) -> Path:
        """Write samples, then the record: only the record makes a case done.

        The record gets the size and digest of its samples' file, and a digest of itself.

        Raises:
            RecordError: if the folder cannot be written; what was there stays as it was.
        """
        path = self.record_path(case, limit)
        try:
            self.make_room(path)
            if lines := [json.dumps(sample, allow_nan=False, ensure_ascii=False) for sample in samples]:
                # mtime 0: the same samples give the same bytes.
                data = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)
                write_atomically(self.samples_path(case, limit), data)
                record = record | {"samples": self._samples_fields(case, limit, len(lines), data)}
            text = json.dumps(sealed(record), allow_nan=False, ensure_ascii=False, indent=1)
            write_atomically(path, f"{text}\n".encode())
            _remove_litter(path, self.samples_path(case, limit))
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
        path = self.samples_named_by(record)
        try:
            data = path.read_bytes()
            with gzip.open(io.BytesIO(data)) as file:
                text = file.read(_MOST_SAMPLES_BYTES + 1)
            if len(text) > _MOST_SAMPLES_BYTES:
                raise RecordError(f"{path}: more than {_MOST_SAMPLES_BYTES} bytes of samples; delete it")
            # Not splitlines: texts may hold separators that only Unicode takes for ends of lines.
            samples = [json.loads(line) for line in text.decode().split("\n") if line]
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordError(f"{path}: samples cannot be read ({error}); run the case again with --rerun") from error
        if record["samples"].get(SEAL, digest := hashlib.sha256(data).hexdigest()) != digest:
            raise RecordError(f"{path}: not the samples that were written with the record; run the case again")
        return samples

    def _samples_fields(self, case: Case, limit: int | None, count: int, data: bytes) -> dict[str, Any]:
        file = self.relative(self.samples_path(case, limit))
        return {"count": count, "file": file, "bytes": len(data), SEAL: hashlib.sha256(data).hexdigest()}

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
        RecordError: if the file is no complete record, or was changed after it was written.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a readable record ({error}); delete it or run the case again") from error
    if not isinstance(record, dict) or not isinstance(record.get("done_key"), dict):
        raise RecordError(f"{path}: not a record of this suite (no done_key); delete it or move it elsewhere")
    try:
        is_changed = SEAL in record and sealed(record)[SEAL] != record[SEAL]
    except (ValueError, RecursionError) as error:  # 1e999 is a number to JSON's reader
        raise RecordError(f"{path}: not a readable record ({error}); delete it or run the case again") from error
    if is_changed:
        raise RecordError(
            f"{path}: was changed after it was written (its {SEAL} differs); restore it or run the case again"
        )
    return record


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the SHA-256 of all else in it, whatever the order and layout: a changed one is noticed."""
    content = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(content, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return content | {SEAL: hashlib.sha256(text.encode()).hexdigest()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of a record")


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Write `data` at `offset` of a file that may not exist yet, drop what stood behind it, and sync.

    Raises:
        OSError: if it cannot be written; what stands before `offset` stays.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove_litter(*paths: Path) -> None:
    """Delete the temporary files that killed runs left beside some files."""
    for path in paths:
        for temporary in path.parent.glob(f".{path.name}.*{_TEMPORARY}"):
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
