"""Paths, reading and writing of records and samples, and the state of each case: done, stale or pending."""

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
UNFINISHED = "unfinished"  # journals of cases that have no record yet
EMISSIONS = "codecarbon"  # CodeCarbon's own rows, as it writes them
# A small gzip file from an unknown source may unpack to any size; the samples of all of MMLU need about 10 MB.
_MOST_SAMPLES_BYTES = 1 << 30
_LONGEST_NAME = 500  # characters of a path relative to the results folder


class Store(ResultsFolder):
    """A results folder: `individual_files/<model>/<level>/<case>.json`, and the same tree for samples and journals."""

    __slots__ = ()

    def record_path(self, case: Case, limit: int | None) -> Path:
        """Path of a case's record; a limited run has its own file, so that it never replaces a full result."""
        return self.root / RECORDS / case.model.key / case.pruning.key / f"{_stem(case, limit)}.json"

    def samples_path(self, case: Case, limit: int | None) -> Path:
        """Path of a case's samples: one JSON object per line, gzipped."""
        return self.root / SAMPLES / case.model.key / case.pruning.key / f"{_stem(case, limit)}.jsonl.gz"

    def samples_of(self, record: str) -> Path:
        """Path of the samples that belong to `record`, a record's path relative to the results folder."""
        return self.root / SAMPLES / Path(record).relative_to(RECORDS).with_suffix(".jsonl.gz")

    def lm_eval_of(self, record: str) -> Path:
        """Folder of lm-eval's files that belong to `record`, a record's path relative to the results folder."""
        return self.root / LM_EVAL / Path(record).relative_to(RECORDS).with_suffix("")

    def lm_eval_folder(self, case: Case, limit: int | None) -> Path:
        """Folder of a case's result files in lm-eval's own format."""
        return self.root / LM_EVAL / case.model.key / case.pruning.key / _stem(case, limit)

    def unfinished_path(self, case: Case, limit: int | None) -> Path:
        """Path of a case's journal: the answers collected before the record is written."""
        return self.root / UNFINISHED / case.model.key / case.pruning.key / f"{_stem(case, limit)}.jsonl"

    def has_unfinished(self) -> bool:
        """Whether the folder may hold journals of interrupted cases."""
        return (self.root / UNFINISHED).is_dir()

    def state(self, case: Case, key: dict[str, Any], doubts: Doubts = lambda _record: ()) -> CaseState:
        """State of `case`; it is done if its record is readable, unchanged and has a done key equal to `key`.

        Args:
            case: the case to look up.
            key: its done key in this run.
            doubts: further checks of a record that passed all others; yields one reason per line.
        """
        path = self.record_path(case, key.get("limit"))
        if not path.exists() and not path.is_symlink():
            return CaseState(Status.PENDING, path)
        try:
            record = read_record(path)
        except RecordError as error:
            reason = str(error).removeprefix(f"{path}: ")
            return CaseState(Status.STALE, path, one_line(f"{reason} ({path})"))
        reasons = (
            differences(record["done_key"], key)
            or [*missing_parts(case, record), *self._missing_samples(record)]
            or list(doubts(record))
        )
        return CaseState(Status.STALE if reasons else Status.DONE, path, one_line(", ".join(reasons)))

    def _missing_samples(self, record: dict[str, Any]) -> Iterator[str]:
        """Reasons why the samples file of a record cannot be the one that was written with it."""
        if not (samples := record.get("samples")):
            return
        try:
            path = self.samples_named_by(record)
            if path.stat().st_size != samples.get("bytes"):
                yield f"its samples {path} were changed after the record was written (their size differs)"
        except OSError:
            yield f"its samples {path} are missing"
        except RecordError as error:
            yield str(error)

    def samples_named_by(self, record: dict[str, Any]) -> Path:
        """Path of the samples file that a record names.

        Raises:
            RecordError: if the record names no file, or a file outside the results folder.
        """
        samples = record.get("samples")
        name = samples.get("file") if isinstance(samples, dict) else None
        path = self.root / str(name)
        try:
            is_name = isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_NAME
            is_inside = is_name and self.is_inside(path)
        except (OSError, ValueError):  # not a possible file name
            is_inside = False
        if not is_inside:
            shown = repr(name)[:80]
            raise RecordError(f"{self.root}: a record names samples {shown}, not a file in this folder; delete it")
        return path

    def write(self, case: Case, limit: int | None, record: dict[str, Any], samples: Iterable[dict[str, Any]]) -> Path:
        """Write the samples first, then the record, because the record alone makes a case done.

        The record gets the size and the SHA-256 of the samples file, and a SHA-256 of its own content.

        Returns:
            The record's path.

        Raises:
            RecordError: if the folder cannot be written; an earlier record stays unchanged.
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
        """The samples that a record names, in the order in which they were scored.

        Raises:
            RecordError: if the samples are missing, unreadable or changed.
        """
        path = self.samples_named_by(record)
        try:
            data = path.read_bytes()
            with gzip.open(io.BytesIO(data)) as file:
                text = file.read(_MOST_SAMPLES_BYTES + 1)
            if len(text) > _MOST_SAMPLES_BYTES:
                raise RecordError(f"{path}: more than {_MOST_SAMPLES_BYTES} bytes of samples; delete it")
            # Not splitlines: it also splits at Unicode line separators, which texts may contain.
            samples = [json.loads(line) for line in text.decode().split("\n") if line]
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordError(f"{path}: samples cannot be read ({error}); run the case again with --rerun") from error
        if record["samples"].get(SEAL, digest := hashlib.sha256(data).hexdigest()) != digest:
            raise RecordError(
                f"{path}: changed after its record was written (its {SEAL} differs); restore it or run the case again"
            )
        return samples

    def _samples_fields(self, case: Case, limit: int | None, count: int, data: bytes) -> dict[str, Any]:
        file = self.relative(self.samples_path(case, limit))
        return {"count": count, "file": file, "bytes": len(data), SEAL: hashlib.sha256(data).hexdigest()}

    def record_paths(self) -> Iterator[Path]:
        """Paths of all records, sorted."""
        yield from sorted((self.root / RECORDS).glob("*/*/*.json"))

    def record_paths_of(self, model: str, level: str) -> Iterator[Path]:
        """Paths of the records of one (model, level), sorted."""
        yield from sorted((self.root / RECORDS / model / level).glob("*.json"))


def _stem(case: Case, limit: int | None) -> str:
    return case.id if limit is None else f"{case.id}-limit{limit}"
