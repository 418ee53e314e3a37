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

from glu_lib.errors import MeasurementError, RecordError, one_line
from glu_lib.results.address import LM_EVAL, SAMPLES, UNFINISHED, RecordId
from glu_lib.results.folder import RECORDS, ResultsFolder
from glu_lib.results.record import SEAL, read_values, sealed
from glu_lib.results.records import AccuracyRecord, Record, Samples, parse_record
from glu_lib.results.staleness import CaseState, Doubts, Status, differences, of_another
from glu_lib.results.writing import remove_litter, write_atomically

EMISSIONS = "codecarbon"  # CodeCarbon's own rows, as it writes them
# A small gzip file from an unknown source may unpack to any size; the samples of all of MMLU need about 10 MB.
_MOST_SAMPLES_BYTES = 1 << 30
_LONGEST_NAME = 500  # characters of a path relative to the results folder


class Store(ResultsFolder):
    """A results folder: `individual_files/<model>/<level>/<case>.json`, and the same tree for samples and journals."""

    __slots__ = ()

    def record_path(self, id_: RecordId) -> Path:
        """Path of a record."""
        return self.root / id_.record

    def samples_path(self, id_: RecordId) -> Path:
        """Path of a record's samples."""
        return self.root / id_.samples

    def samples_of(self, record: str) -> Path:
        """Path of the samples that belong to `record`, a record's path relative to the results folder."""
        return self.root / SAMPLES / Path(record).relative_to(RECORDS).with_suffix(".jsonl.gz")

    def lm_eval_of(self, record: str) -> Path:
        """Folder of lm-eval's files that belong to `record`, a record's path relative to the results folder."""
        return self.root / LM_EVAL / Path(record).relative_to(RECORDS).with_suffix("")

    def lm_eval_folder(self, id_: RecordId) -> Path:
        """Folder of a case's result files in lm-eval's own format."""
        return self.root / id_.lm_eval

    def unfinished_path(self, id_: RecordId) -> Path:
        """Path of a case's journal: the answers collected before the record is written."""
        return self.root / id_.unfinished

    def has_unfinished(self) -> bool:
        """Whether the folder may hold journals of interrupted cases."""
        return (self.root / UNFINISHED).is_dir()

    def state(self, id_: RecordId, key: dict[str, Any], doubts: Doubts = lambda _record: ()) -> CaseState:
        """State of a case; it is done if its record is readable, unchanged, sound and has a done key equal to `key`.

        Args:
            id_: the record to look up.
            key: its done key in this run.
            doubts: further checks of a record that passed all others; yields one reason per line.
        """
        path = self.record_path(id_)
        if not path.exists() and not path.is_symlink():
            return CaseState(Status.PENDING, path)
        try:
            values = read_values(path)
            reasons = differences(values["done_key"], key) or list(of_another(id_.case, values))
            if not reasons:
                record = parse_record(values)
                reasons = [*record.wrong_energies(), *self._missing_samples(record)] or list(doubts(record))
        except RecordError as error:
            reason = str(error).removeprefix(f"{path}: ")
            return CaseState(Status.STALE, path, one_line(f"{reason} ({path})"))
        return CaseState(Status.STALE if reasons else Status.DONE, path, one_line(", ".join(reasons)))

    def _missing_samples(self, record: Record) -> Iterator[str]:
        """Reasons why the samples file of a record cannot be the one that was written with it."""
        if not isinstance(record, AccuracyRecord):
            return
        try:
            path = self.samples_named_by(record.samples)
            if path.stat().st_size != record.samples.bytes:
                yield f"its samples {path} were changed after the record was written (their size differs)"
        except OSError:
            yield f"its samples {path} are missing"
        except RecordError as error:
            yield str(error)

    def samples_named_by(self, samples: Samples) -> Path:
        """Path of the samples file that a record names.

        Raises:
            RecordError: if the record names a file outside the results folder.
        """
        name = samples.file
        path = self.root / name
        try:
            is_name = name.isprintable() and len(name) <= _LONGEST_NAME
            is_inside = is_name and self.is_inside(path)
        except (OSError, ValueError):  # not a possible file name
            is_inside = False
        if not is_inside:
            shown = repr(name)[:80]
            raise RecordError(f"{self.root}: a record names samples {shown}, not a file in this folder; delete it")
        return path

    def write(self, id_: RecordId, record: dict[str, Any], samples: Iterable[dict[str, Any]] = ()) -> Path:
        """Write the samples first, then the record, because the record alone makes a case done.

        The record gets the size and the SHA-256 of the samples file, and a SHA-256 of its own content.

        Args:
            id_: the record's address.
            record: its JSON values (`build_record`).
            samples: the samples of a scored case.

        Returns:
            The record's path.

        Raises:
            MeasurementError: if the record does not have its type; nothing is written.
            RecordError: if the folder cannot be written; an earlier record stays unchanged.
        """
        path = self.record_path(id_)
        lines = [json.dumps(sample, allow_nan=False, ensure_ascii=False) for sample in samples]
        # mtime 0: the same samples give the same bytes.
        data = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)
        if lines:
            digest = hashlib.sha256(data).hexdigest()
            fields = {"count": len(lines), "file": str(id_.samples), "bytes": len(data), SEAL: digest}
            record = record | {"samples": fields}
        record = sealed(record)
        try:
            parse_record(record)
        except RecordError as error:
            raise MeasurementError(f"{id_.case.id}: {error}; nothing is recorded: report this as a bug") from error
        try:
            self.make_room(path)
            if lines:
                self.make_room(self.samples_path(id_))
                write_atomically(self.samples_path(id_), data)
                remove_litter(self.samples_path(id_))
            write_atomically(path, f"{json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1)}\n".encode())
            remove_litter(path)
        except OSError as error:
            raise RecordError(
                f"{path}: the record cannot be written ({error.strerror}); free space, or choose another --results-dir"
            ) from error
        return path

    def read_samples(self, samples: Samples) -> list[dict[str, Any]]:
        """The lines of a record's samples file, in the order in which they were scored.

        Raises:
            RecordError: if the samples are missing, unreadable or changed.
        """
        path = self.samples_named_by(samples)
        try:
            data = path.read_bytes()
            with gzip.open(io.BytesIO(data)) as file:
                text = file.read(_MOST_SAMPLES_BYTES + 1)
            if len(text) > _MOST_SAMPLES_BYTES:
                raise RecordError(f"{path}: more than {_MOST_SAMPLES_BYTES} bytes of samples; delete it")
            # Not splitlines: it also splits at Unicode line separators, which texts may contain.
            found = [json.loads(line) for line in text.decode().split("\n") if line]
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordError(f"{path}: samples cannot be read ({error}); run the case again with --rerun") from error
        if samples.sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise RecordError(
                f"{path}: changed after its record was written (its {SEAL} differs); restore it or run the case again"
            )
        return found

    def record_paths(self) -> Iterator[Path]:
        """Paths of all records, sorted."""
        yield from sorted((self.root / RECORDS).glob("*/*/*.json"))

    def record_paths_of(self, model: str, level: str) -> Iterator[Path]:
        """Paths of the records of one (model, level), sorted."""
        yield from sorted((self.root / RECORDS / model / level).glob("*.json"))
