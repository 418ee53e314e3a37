"""What the driver does with the files of a worker: check them, then write them; nobody else writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from glu_lib.cluster.messages import Answered, Work
from glu_lib.cluster.turns import Group
from glu_lib.errors import MeasurementError, RecordError
from glu_lib.results.address import RecordId
from glu_lib.results.journal_lines import whole_lines
from glu_lib.results.record import SEAL, sealed
from glu_lib.results.records import AccuracyRecord, parse_record
from glu_lib.results.staleness import differences, of_another
from glu_lib.results.writing import remove_litter, write_at, write_atomically
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case


@dataclass(slots=True)
class Receiver:
    """Turns groups into work, and files of workers into records of the results folder."""

    experiment: Experiment

    def work(self, group: Group) -> Work:
        """The work of a group, with the answers and records that the results folder has of it."""
        states, store = self.experiment.states, self.experiment.store
        journals, own = {}, set()
        for case in group.cases:
            id_ = states.address(case)
            own.add(store.record_path(id_))
            if not self.experiment.settings.rerun and (found := _whole(store.unfinished_path(id_))):
                journals[case.id] = found
        first = group.cases[0]
        records = {
            store.relative(path): path.read_bytes()
            for path in store.record_paths_of(first.model.key, first.loaded.key)
            if path not in own and path.is_file() and not path.is_symlink()
        }
        keys = {case.id: states.done_key(case) for case in group.cases}
        return Work(group.key, tuple(case.id for case in group.cases), keys, journals, records)

    def accept(self, case: Case, files: Mapping[str, bytes]) -> None:
        """Check the files of a case and write them: lm-eval's, samples, and last the record, which makes it done.

        Raises:
            MeasurementError: if they are not those of this case in this run; nothing is written.
            RecordError: if they cannot be written.
        """
        id_ = self.experiment.states.address(case)
        self._check(case, id_, files)
        store = self.experiment.store
        self.experiment.recorder.ensure_folder()
        path = store.record_path(id_)
        try:
            shutil.rmtree(store.lm_eval_folder(id_), ignore_errors=True)
            rest = [name for name in files if name not in (str(id_.record), str(id_.samples))]
            for name in (*rest, *([str(id_.samples)] if str(id_.samples) in files else ()), str(id_.record)):
                store.make_room(store.root / name)
                write_atomically(store.root / name, files[name])
            for written in (store.samples_path(id_), path):
                remove_litter(written)
        except OSError as error:
            raise RecordError(
                f"{path}: the record cannot be written ({error.strerror}); free space, or choose another --results-dir"
            ) from error
        self._forget(id_)

    def note(self, case: Case, found: Answered) -> None:
        """Add answers of a running case to its journal, from which any later run goes on.

        A journal that cannot be written costs no case: the record will tell.
        """
        store = self.experiment.store
        path = store.unfinished_path(self.experiment.states.address(case))
        with suppress(OSError):
            store.make_room(path)
            if found.offset == 0 or path.stat().st_size >= found.offset:
                write_at(path, found.offset, found.data)

    def _check(self, case: Case, id_: RecordId, files: Mapping[str, bytes]) -> None:
        """Refuse files that `accept` must not write."""
        for name in files:
            if name not in (str(id_.record), str(id_.samples)) and not _is_below(name, id_.lm_eval):
                raise MeasurementError(f"{case.id}: the worker sent {name[:80]!r}, no file of this case; {_NOTHING}")
        try:
            values = json.loads(files.get(str(id_.record), b""))
            record = parse_record(values)
            is_changed = sealed(values)[SEAL] != values.get(SEAL)
        except (ValueError, RecursionError, RecordError) as error:
            raise MeasurementError(f"{case.id}: the worker sent no sound record ({error}); {_NOTHING}") from error
        if is_changed:
            raise MeasurementError(f"{case.id}: the worker sent a record whose {SEAL} differs; {_NOTHING}")
        wanted = self.experiment.states.done_key(case)
        if reasons := [*differences(values["done_key"], wanted), *of_another(case, values)]:
            raise MeasurementError(f"{case.id}: the worker measured something else ({', '.join(reasons)}); {_NOTHING}")
        if isinstance(record, AccuracyRecord):
            data = files.get(record.samples.file, b"")
            if record.samples.file != str(id_.samples) or hashlib.sha256(data).hexdigest() != record.samples.sha256:
                raise MeasurementError(f"{case.id}: the worker sent other samples than its record names; {_NOTHING}")

    def _forget(self, id_: RecordId) -> None:
        """Delete the journal of a case that now has a record."""
        store = self.experiment.store
        path = store.unfinished_path(id_)
        with suppress(OSError):  # a later run that finds the case done deletes it
            store.check_inside(path)
            path.unlink(missing_ok=True)


_NOTHING = "nothing is recorded"


def _whole(path: Path) -> bytes:
    """The whole lines of a journal: a worker appends to them."""
    try:
        data = path.read_bytes() if not path.is_symlink() else b""
    except OSError:
        return b""
    end = max((end for _, end in whole_lines(data)), default=0)
    return data[:end]


def _is_below(name: str, folder: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.is_relative_to(folder)
