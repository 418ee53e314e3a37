"""The driver of a run, for pytest and notebooks alike: plan, claim, prepare, measure, give back, end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from glu_lib.errors import AccessError, DeviceError, RecordError, TemplateError
from glu_lib.measure.prepared import PreparedModel
from glu_lib.results.leases import PATIENCE_S, Leases
from glu_lib.results.record import read_record
from glu_lib.results.records import Record
from glu_lib.run.experiment import Experiment
from glu_lib.run.measuring import Measuring
from glu_lib.run.plan import GPU, RESULTS_FOLDER, Plan, template_of
from glu_lib.study import ModelVariant
from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.pruning import Pruning

_POLL_S = 1.0


@dataclass(slots=True)
class Session:
    """Drives one run of an experiment.

    A frontend calls, in this order:

    1. `begin` with the cases of the run; `plan` then tells which are done, pending or blocked.
    2. For each case that is not done: `claim` (or `wait_for`), then, unless the case is now done or has a `cause`,
       `prepared` for the model of its (model, level), `measure`, and in any case `give_back`.
    3. `end`.
    """

    experiment: Experiment
    plan: Plan = field(init=False)
    leases: Leases = field(init=False)
    measuring: Measuring = field(init=False)
    _level: Case | None = None  # a case of the (model, level) whose lease this run holds
    _waited_for: set[str] = field(default_factory=set)  # (model, level) groups that another run kept for too long

    def __post_init__(self) -> None:
        settings = self.experiment.settings
        self.plan = Plan(rerun=settings.rerun)
        self.leases = Leases(self.experiment.store.root, settings.items)
        self.measuring = Measuring(self.experiment)

    def begin(self, cases: Iterable[Case]) -> None:
        """Look up the state of every case; delete the journals that interrupted runs left of cases that are done."""
        cases = list(cases)
        done = [case for case in cases if self.look_up(case)]
        self.plan.pending = {case.id: case for case in cases if not self.plan.is_done(case)}
        self._delete_journals(done)

    def look_up(self, case: Case) -> bool:
        """Read the state of `case` anew; return whether it is done and can be skipped.

        If its model is not accessible or lacks a chat template, this blocks the case.
        """
        try:
            self.plan.states[case.id] = self.experiment.states.of(case)
        except AccessError as error:
            self.plan.blocked[case.model.key] = error
        except TemplateError as error:
            self.plan.blocked[template_of(case.model)] = error
        return self.plan.is_done(case)

    def claim(self, case: Case) -> bool:
        """Take the leases of `case` and its level before the model is loaded; look whether another run has finished it.

        Returns:
            False if another run is measuring the case, or has its level. A results folder that cannot be written
            blocks the case.
        """
        return self._claim(case, wait_s=0.0)

    def wait_for(self, case: Case) -> bool:
        """Claim `case`, waiting until the run that measures it has ended or finished the case.

        Returns:
            False if the other run is still at work after PATIENCE_S seconds; the plan then has the case `elsewhere`. A
            level is waited for only once.
        """
        patience_s = 0.0 if case.group in self._waited_for else PATIENCE_S
        end_s = time.monotonic() + patience_s
        while True:
            if self._claim(case, wait_s=min(_POLL_S, patience_s)) or self.look_up(case):
                return True
            if time.monotonic() >= end_s:
                break
        self._waited_for.add(case.group)
        self.plan.elsewhere.add(case.id)
        return False

    def cause(self, case: Case) -> str | None:
        """The cause that blocks `case`, a key of `plan.blocked`; None if the case can run."""
        if failure := self.experiment.guard.failure:
            self.plan.blocked.setdefault(GPU, DeviceError(failure))
        return self.plan.cause(case)

    @contextmanager
    def prepared(self, variant: ModelVariant, pruning: Pruning) -> Iterator[PreparedModel]:
        """The model of a (model, level); arguments and errors are those of `Levels.prepared`.

        When it is freed, the level's lease is given back.
        """
        level = self._level
        try:
            with self.experiment.levels.prepared(variant, pruning) as model:
                yield model
        finally:
            if level is not None and self._level is level:
                self._give_level_back()

    def measure(self, case: Case, prepared: PreparedModel | None = None) -> Record:
        """Measure `case`, check the measurement, write its record and return it.

        An energy case is measured together with the pending levels of the same workload. Their records are written
        too; when their own turn comes, this reads them.

        Args:
            case: the case to measure.
            prepared: the model at the case's level; None for architecture cases.

        Raises:
            MeasurementError: if the measurement is incomplete or impossible; nothing is recorded.
            RecordError: if the record cannot be written.
            DeviceError: if the GPU has failed for good.
        """
        plan = self.plan
        if case.id in plan.measured:
            plan.measured.discard(case.id)
            return read_record(plan.states[case.id].path)
        self.experiment.recorder.ensure_folder()
        records = self.measuring.measure(case, prepared, plan.companions(case), self._claim_beside)
        for measured in records:
            plan.pending.pop(measured.id, None)
            if measured != case:
                plan.measured.add(measured.id)
                self.leases.give_back(measured)
        return records[case]

    def give_back(self, case: Case) -> None:
        """Release the lease of `case`, whatever became of it."""
        self.leases.give_back(case)

    def end(self) -> None:
        """Release all leases of a run that may have ended in the middle of a case."""
        self.leases.give_all_back()

    def _claim(self, case: Case, *, wait_s: float) -> bool:
        is_measured = case.id in self.plan.measured
        try:
            self.experiment.recorder.check_folder()
            is_mine = is_measured or (self._has_level(case, wait_s) and self.leases.take(case, wait_s=wait_s))
        except RecordError as error:
            self.plan.blocked[RESULTS_FOLDER] = RecordError(str(error))
            return True
        self.plan.blocked.pop(RESULTS_FOLDER, None)  # writable again: space was freed, or a drive was mounted
        if is_mine and not is_measured:
            self.look_up(case)
        return is_mine

    def _has_level(self, case: Case, wait_s: float) -> bool:
        """Take the lease of the level of `case`, and give back that of the level before.

        Energy cases measure several levels at once and architecture cases load no model: they need no level.
        """
        if case.kind in ENERGY_KINDS or case.kind is CaseKind.ARCHITECTURE:
            return True
        if self._level is not None and self._level.group == case.group:
            return True
        self._give_level_back()
        if not self.leases.take_level(case, wait_s=wait_s):
            return False
        self._level = case
        return True

    def _give_level_back(self) -> None:
        if self._level is not None:
            self.leases.give_level_back(self._level)
            self._level = None

    def _claim_beside(self, case: Case) -> bool:
        """Take the lease of a case that is measured together with another; False if another run has it or did it."""
        if not self.leases.take(case):
            return False
        if self.look_up(case):
            self.leases.give_back(case)
            return False
        return True

    def _delete_journals(self, cases: Sequence[Case]) -> None:
        store = self.experiment.store
        for case in cases if store.has_unfinished() else ():
            path = store.unfinished_path(self.experiment.states.address(case))
            with suppress(OSError):  # in a read-only folder the journals stay, which does no harm
                store.check_inside(path)
                path.unlink(missing_ok=True)
