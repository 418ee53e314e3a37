"""The recorder: a finished case's record and samples, and the journal of answers it may resume from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.machine.environment import Environment
from glu_lib.models.pruning_result import PruningResult
from glu_lib.results.journal_lines import is_bound
from glu_lib.results.record import build_record, read_record
from glu_lib.results.records import Record
from glu_lib.results.store import Store
from glu_lib.results.unfinished import Answers
from glu_lib.run.case_state import CaseStates
from glu_lib.study.cases import Case
from glu_lib.study.settings import Settings


@dataclass(slots=True)
class Recorder:
    """Writes the records of one run into its results folder, each with its done key.

    The folder is created once; a folder that disappears later is an error, never created again.
    """

    settings: Settings
    environment: Environment
    store: Store
    states: CaseStates
    _had_folder: bool = False

    def check_folder(self) -> None:
        """Create the results folder and check that it can be written, before a case costs time.

        Raises:
            RecordError: if it cannot be written, or has disappeared during the run.
        """
        if self._had_folder:
            self._check_there()
        self.store.check_writable()
        self._had_folder = True

    def ensure_folder(self) -> None:
        """Create the results folder before the first case; before later cases, check that it still exists.

        Raises:
            RecordError: if it cannot be written, or has disappeared during the run.
        """
        if not self._had_folder:
            self.check_folder()
        self._check_there()

    def make_room(self, path: Path) -> None:
        """Create the folders between the results folder and `path`.

        Raises:
            RecordError: if they cannot be created.
        """
        try:
            self.store.make_room(path)
        except OSError as error:
            raise RecordError(
                f"{path}: cannot be written ({error.strerror}); check free space and permissions"
            ) from error

    def write(
        self,
        case: Case,
        pruning: PruningResult,
        started_at: datetime,
        duration_s: float,
        parts: dict[str, Any] | None = None,
        samples: Sequence[dict[str, Any]] = (),
    ) -> Record:
        """Build the record of a measured case, write it with its samples, and return it as it was read back.

        Raises:
            MeasurementError: if the record does not have its type; nothing is written.
            RecordError: if the record cannot be written.
        """
        parts = {"timing": {"load_s": None}} | (parts or {})
        parts["timing"] |= {"started_at": started_at.isoformat(timespec="seconds"), "duration_s": duration_s}
        key = self.states.done_key(case)
        if stored_as := self.states.stored_as(case):
            parts["weights"] = stored_as
        record = build_record(case, key, self.environment.as_dict(), pruning.as_dict(), **parts)
        # Read back, so that the caller gets exactly what the next run will find.
        return read_record(self.store.write(self.states.address(case), record, samples))

    def journal(self, case: Case, started_at: datetime) -> Answers:
        """The journal of `case`: answers of interrupted runs are read from it, answers of this run are added to it."""
        found = self.environment
        return Answers(
            self.store,
            self.store.unfinished_path(self.states.address(case)),
            binding=self._binding(case),
            run={
                "started_at": started_at.isoformat(timespec="seconds"),
                "device": found.gpu or found.cpu,
                "torch": found.versions["torch"],
                "git_commit": found.git_commit,
            },
            is_fresh=self.settings.rerun,
        )

    def has_journal(self, case: Case) -> bool:
        """Whether this run can resume `case` from the journal of an interrupted run.

        Raises:
            AccessError: if its model cannot be identified.
        """
        path = self.store.unfinished_path(self.states.address(case))
        return not self.settings.rerun and path.exists() and is_bound(path, self._binding(case))

    def _binding(self, case: Case) -> dict[str, Any]:
        """Fields that must be equal for the answers of two runs to belong to one measurement."""
        # GPUs of two kinds differ in the last digits; what answers of processors are bound to stays as it was.
        gpu = {"gpu": self.environment.gpu} if self.environment.gpu else {}
        return {"done_key": self.states.done_key(case), "scorer": str(self.settings.scorer), **gpu}

    def _check_there(self) -> None:
        if not self.store.is_there():
            raise RecordError(f"--results-dir {str(self.store.root)!r} is gone; mount or restore it, then: pytest --lf")
