"""Where records and samples lie, what was done to them since they were written, and what counts as done."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError, one_line
from glu_lib.results.folder import RECORDS, ResultsFolder
from glu_lib.results.record import SEAL, read_record, sealed
from glu_lib.results.staleness import CaseState, Doubts, Status, differences, missing_parts
from glu_lib.results.writing import remove_litter, write_atomically
from glu_lib.study.cases import Case

SAMPLES = "samples"
LM_EVAL = "lm_eval"
UNFINISHED = "unfinished"  # answers of cases that have no record yet
EMISSIONS = "codecarbon"  # CodeCarbon's own rows, as it writes them
_MOST_SAMPLES_BYTES = 1 << 30  # the whole of MMLU is a hundredth of it; a few kilobytes from elsewhere may hold more
_LONGEST_NAME = 500  # characters of a path below the results folder


class Store(ResultsFolder):
    """A results folder: `individual_files/<model>/<level>/<case>.json` and the samples beside it."""

    __slots__ = ()

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

    def state(self, case: Case, key: dict[str, Any], doubts: Doubts = lambda _record: ()) -> CaseState:
        """Whether `case` is done: a readable, unchanged record of it whose done key equals `key`.

        Args:
            case: what to look for.
            key: its done key in this run.
            doubts: what else speaks against a record, a line each; asked only where nothing else does.
        """
        path = self.record_path(case, key.get("limit"))
        if not path.exists() and not path.is_symlink():
            return CaseState(Status.PENDING, path)
        try:
            record = read_record(path)
        except RecordError as error:
            return CaseState(Status.STALE, path, one_line(str(error)))
        reasons = (
            differences(record["done_key"], key)
            or [*missing_parts(case, record), *self._missing_samples(record)]
            or list(doubts(record))
        )
        return CaseState(Status.STALE if reasons else Status.DONE, path, one_line(", ".join(reasons)))

    def _missing_samples(self, record: dict[str, Any]) -> Iterator[str]:
        """Why the samples that a record names are not those that were written with it."""
        if not (samples := record.get("samples")):
            return
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
            is_inside = is_name and self.is_inside(path)
        except (OSError, ValueError):  # no name of a file at all
            is_inside = False
        if not is_inside:
            shown = repr(name)[:80]
            raise RecordError(f"{self.root}: a record names samples {shown}, which lie not in this folder; delete it")
        return path

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
                self.make_room(self.samples_path(case, limit))
                write_atomically(self.samples_path(case, limit), data)
                remove_litter(self.samples_path(case, limit))
                record = record | {"samples": self._samples_fields(case, limit, len(lines), data)}
            text = json.dumps(sealed(record), allow_nan=False, ensure_ascii=False, indent=1)
            write_atomically(path, f"{text}\n".encode())
            remove_litter(path)
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


def _stem(case: Case, limit: int | None) -> str:
    return case.id if limit is None else f"{case.id}-limit{limit}"
