"""One run of a study: which cases are done, models loaded and pruned once, each case measured and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from glu_lib.errors import NotFiniteError, SettingsError, StudyError, VerificationError
from glu_lib.machine.environment import (
    Environment,
    detect_environment,
    set_library_defaults,
)
from glu_lib.measure.accuracy.score_case import score_case
from glu_lib.measure.energy.idle import IdlePower, measure_idle
from glu_lib.measure.energy.tracker import country_intensity
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.energy.workload import WorkloadProfile, profile_workload
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.pruning import PruningResult, prune
from glu_lib.models.shapes import build_on_meta
from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER
from glu_lib.results.leases import Leases
from glu_lib.results.staleness import CaseState, Status, headline_differences
from glu_lib.results.store import EMISSIONS, Store
from glu_lib.run.device_guard import DeviceGuard
from glu_lib.run.interleaving import Interleaving
from glu_lib.run.preparing import Preparation
from glu_lib.run.recording import Recording
from glu_lib.study import STUDY, ModelVariant, Study, Task, Workload
from glu_lib.study.cases import Case, Pruning
from glu_lib.study.settings import Settings, Weights

RANDOM_ACCURACY = "random weights have no accuracy; with --weights random select workloads only: -m carbon"


@dataclass(slots=True)
class Experiment:
    """A study, the run's settings and machine, and what is made once and shared by its cases."""

    settings: Settings = field(default_factory=Settings)
    study: Study = STUDY
    environment: Environment = field(init=False)
    store: Store = field(init=False)
    library: TaskLibrary = field(default_factory=TaskLibrary)
    meter: EnergyMeter = field(init=False)
    preparation: Preparation = field(init=False)
    recording: Recording = field(init=False)
    leases: Leases = field(init=False)
    levels: Interleaving = field(init=False)
    guard: DeviceGuard = field(default_factory=DeviceGuard)
    _measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    _idle: IdlePower | None = None

    def __post_init__(self) -> None:
        set_library_defaults()
        self.environment = detect_environment(self.settings)
        folder = self.settings.results_dir
        self.store = Store(folder / RANDOM_WEIGHTS_FOLDER if self._is_random else folder)
        self.preparation = Preparation(self.settings, self.study, self.environment, self.store, self.library)
        self.recording = Recording(self.settings, self.environment, self.store, self.preparation)
        self.leases = Leases(self.store.root, self.settings.limit)
        self.levels = Interleaving(self.preparation.prepare, self._profile, self._may_measure, self.settings.seed)
        intensity, country = self.settings.carbon_intensity, self.settings.country
        self.meter = EnergyMeter(country_intensity(country) if country else intensity)

    @property
    def _is_random(self) -> bool:
        return self.settings.weights is Weights.RANDOM

    def identity(self, variant: ModelVariant) -> ModelIdentity:
        """Which weights `variant` means; asked once per run.

        Raises:
            AccessError: the same one each time it is asked.
        """
        return self.preparation.identity(variant)

    def done_key(self, case: Case) -> dict[str, Any]:
        """What a record of `case` must match in this run.

        Raises:
            AccessError: if its model cannot be identified.
            TemplateError: if its task needs a chat template and the model has none.
        """
        return self.recording.done_key(case)

    def state(self, case: Case) -> CaseState:
        """Whether `case` is done, stale or pending.

        Raises:
            AccessError: if its model cannot be identified.
        """
        return self.store.state(case, self.done_key(case), partial(self._doubts, case))

    def _doubts(self, case: Case, record: dict[str, Any]) -> Iterator[str]:
        """What speaks against a record whose done key matches."""
        task, score = case.subject, record.get("score", {})
        if isinstance(task, Task):
            yield from headline_differences(task, score)
        if isinstance(task, Task) and task.num_fewshot and "num_fewshot" not in score:
            # Early versions noted the number of examples that was asked, not the one that was used.
            try:
                self.library.check_few_shot(task)
            except StudyError as error:
                yield str(error)

    def is_done(self, case: Case) -> bool:
        """Whether `case` needs no run: its record matches and `--rerun` was not asked.

        Raises:
            AccessError: if its model cannot be identified.
        """
        return not self.settings.rerun and self.state(case).status is Status.DONE

    @contextmanager
    def prepared(self, variant: ModelVariant, pruning: Pruning) -> Iterator[PreparedModel]:
        """Load `variant` and prune it; its memory is given back when the block ends.

        Raises:
            AccessError: if the weights cannot be had, or (CalibrationError) the text that the method needs.
            VerificationError: if pruning did not do what was asked, or not what it did before.
            DeviceError: if the GPU has failed for good.
        """
        with self.guard.using():
            prepared = self.levels.take(f"{variant.key}-{pruning.key}") or self.preparation.prepare(variant, pruning)
        try:
            yield prepared
        finally:
            self.guard.free(prepared)

    def expect(self, pending: Sequence[Case], done: Sequence[Case] = ()) -> None:
        """Say which cases this run still has to measure, so that energy workloads can take turns over their levels.

        What interrupted runs left of cases that are done is deleted.
        """
        self.levels.expect(pending)
        for case in done if self.store.has_unfinished() else ():
            path = self.store.unfinished_path(case, self.settings.limit)
            with suppress(OSError):  # litter in a folder that is only read hurts nobody
                self.store.check_inside(path)
                path.unlink(missing_ok=True)

    def is_begun(self, case: Case) -> bool:
        """Whether an interrupted run left answers of `case` with which this run will go on.

        Raises:
            AccessError: if its model cannot be identified.
        """
        return self.recording.has_journal(case)

    def run(self, case: Case, prepared: PreparedModel | None = None) -> dict[str, Any]:
        """Measure `case`, check the measurement, write its record and return it.

        An energy workload is measured in turn with the other levels that are expected: their records are written too,
        and returned when it is their turn to run.

        Args:
            case: what to measure.
            prepared: the model at the case's level; not needed for architecture cases.

        Raises:
            MeasurementError: if the measurement is incomplete or impossible; nothing is recorded.
            RecordError: if the record cannot be written.
            DeviceError: if the GPU has failed for good.
        """
        if case.id in self._measured:
            return self._measured.pop(case.id)
        self.recording.ensure_folder()
        if prepared is None:
            started_at, start_s = datetime.now(UTC), time.perf_counter()
            result = self._prune_on_meta(case)
            return self.recording.write(case, result, started_at, time.perf_counter() - start_s)
        with self.guard.using():
            return self._run_on(case, prepared)

    def _run_on(self, case: Case, prepared: PreparedModel) -> dict[str, Any]:
        """Measure a case that needs the model."""
        started_at, start_s = datetime.now(UTC), time.perf_counter()
        if isinstance(case.subject, Workload):
            return self._run_workload(case, prepared, started_at)
        assert isinstance(case.subject, Task)
        if self._is_random:
            raise SettingsError(f"{case.id}: {RANDOM_ACCURACY}")
        answers = self.recording.journal(case, started_at)
        try:
            parts, evaluation = score_case(case.subject, prepared, answers, self.meter, self.library, self.settings)
        except NotFiniteError as error:
            raise NotFiniteError(f"{case.group}, {error}") from error
        self.recording.write_lm_eval_files(case, prepared, evaluation, started_at)
        parts["timing"] = {"load_s": prepared.loaded.load_s}
        parts["memory"] = prepared.memory
        duration_s = time.perf_counter() - start_s + (parts["resumed"]["seconds"] if parts["resumed"] else 0.0)
        record = self.recording.write(case, prepared.pruning, started_at, duration_s, parts, evaluation.samples)
        answers.remove()
        return record

    def check_folder(self) -> None:
        """See that the results folder can be written before a case costs time; it is made once, and must then stay.

        Raises:
            RecordError: if it cannot be written, or is gone.
        """
        self.recording.check_folder()

    def has_measured(self, case: Case) -> bool:
        """Whether `case` was measured in turn with another level and only waits to be returned by `run`."""
        return case.id in self._measured

    def _may_measure(self, case: Case) -> bool:
        """Whether `case` can take turns with another: no other run works on it, or has finished it meanwhile."""
        if not self.leases.take(case):
            return False
        if self.is_done(case):
            self.leases.give_back(case)
            return False
        return True

    def passes(self, case: Case, prepared: PreparedModel) -> Iterator[Callable[[], None]]:
        """Passes over an energy case's prompts, one per seed, tokenized and warm: for a timer of another kind."""
        return self._profile(case, prepared).passes()

    def _run_workload(self, case: Case, prepared: PreparedModel, started_at: datetime) -> dict[str, Any]:
        for measured, (model, parts) in self.levels.measure(case, prepared).items():
            assert isinstance(measured.subject, Workload)
            parts["runtime"] = {"batch_size": measured.subject.batch_size, "threads": model.threads}
            parts["timing"] = {"load_s": model.loaded.load_s}
            parts["memory"] = model.memory
            duration_s = parts.pop("measuring_s")
            self._measured[measured.id] = self.recording.write(measured, model.pruning, started_at, duration_s, parts)
            if measured != case:
                self.leases.give_back(measured)
        return self._measured.pop(case.id)

    def _profile(self, case: Case, prepared: PreparedModel) -> WorkloadProfile:
        assert isinstance(case.subject, Workload)
        self.recording.make_room(self.store.root / EMISSIONS / "emissions.csv")
        return profile_workload(
            prepared.loaded,
            case.subject,
            self.meter,
            self.library,
            self.study,
            self.settings,
            self._idle_power(prepared),
            self.store.root / EMISSIONS,
        )

    def _idle_power(self, prepared: PreparedModel) -> IdlePower | None:
        """What the machine draws at rest with a model resident; measured once per run, None if that was not asked."""
        if self._idle is None and self.settings.idle_s > 0:
            self._idle = measure_idle(
                self.meter,
                prepared.loaded.model.device,
                self.settings.idle_s,
                allow_shared=self.settings.allow_shared,
            )
        return self._idle

    def _prune_on_meta(self, case: Case) -> PruningResult:
        """Build and prune the declared shape without weights: exact widths and counts in seconds."""
        shape = case.model.architecture
        assert shape is not None
        result = prune(build_on_meta(shape), case.pruning, seed=self.settings.seed)
        if result.parameters != shape.parameters(result.width):
            raise VerificationError(
                f"{case.id}: the pruned model has {result.parameters} parameters, "
                f"the declared shape gives {shape.parameters(result.width)}; correct the study"
            )
        return result
