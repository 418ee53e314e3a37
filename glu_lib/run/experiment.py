"""One run of a study: find the cases to measure, load and prune each model once, measure and record each case."""

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
from glu_lib.measure.layers.scan import scan_fields, scan_layers
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.fixed_text import ROWS, FixedText, held_out_rows
from glu_lib.models.fixed_text import describe as describe_text
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.pruning import PruningResult, prune
from glu_lib.models.shapes import build_on_meta
from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER
from glu_lib.results.leases import Leases
from glu_lib.results.records import AccuracyRecord, Record
from glu_lib.results.staleness import CaseState, Status, headline_differences
from glu_lib.results.store import EMISSIONS, Store
from glu_lib.run.device_guard import DeviceGuard
from glu_lib.run.interleaving import Interleaving
from glu_lib.run.preparing import Preparation
from glu_lib.run.recording import Recording
from glu_lib.study import STUDY, LayerScan, ModelVariant, Study, Task, Workload
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings, Weights

RANDOM_ACCURACY = "random weights have no accuracy; with --weights random select workloads only: -m carbon"


@dataclass(slots=True)
class Experiment:
    """One run: its study, settings and machine, and the objects that its cases share."""

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
    _measured: dict[str, Record] = field(default_factory=dict)
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
        """The exact weights that `variant` refers to; resolved once per run.

        Raises:
            AccessError: if they cannot be resolved; raised again at every call.
        """
        return self.preparation.identity(variant)

    def done_key(self, case: Case) -> dict[str, Any]:
        """The fields that a record of `case` must match in this run.

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
        return self.store.state(self.recording.address(case), self.done_key(case), partial(self._doubts, case))

    def _doubts(self, case: Case, record: Record) -> Iterator[str]:
        """Reasons why a record is stale although its done key matches."""
        task = case.subject
        if not isinstance(task, Task) or not isinstance(record, AccuracyRecord):
            return
        yield from headline_differences(task, record.score)
        if task.num_fewshot and not record.score.has("num_fewshot"):
            # Early versions recorded the requested number of examples, which lm-eval may not have used.
            try:
                self.library.check_few_shot(task)
            except StudyError as error:
                yield str(error)

    def is_done(self, case: Case) -> bool:
        """Whether `case` can be skipped: its record is done and the run has no `--rerun`.

        Raises:
            AccessError: if its model cannot be identified.
        """
        return not self.settings.rerun and self.state(case).status is Status.DONE

    @contextmanager
    def prepared(self, variant: ModelVariant, pruning: Pruning) -> Iterator[PreparedModel]:
        """Load `variant` and prune it; its memory is freed when the block ends.

        Raises:
            AccessError: if the weights cannot be loaded.
            CalibrationError: if the calibration text cannot be loaded.
            VerificationError: if the pruned model is wrong, or has kept other neurons than an earlier record says.
            DeviceError: if the GPU has failed for good.
        """
        with self.guard.using():
            prepared = self.levels.take(f"{variant.key}-{pruning.key}") or self.preparation.prepare(variant, pruning)
        try:
            yield prepared
        finally:
            self.guard.free(prepared)

    def expect(self, pending: Sequence[Case], done: Sequence[Case] = ()) -> None:
        """Store the cases to measure, so that the levels of energy workloads can be interleaved.

        Journals of `done` cases, left by interrupted runs, are deleted.
        """
        self.levels.expect(pending)
        for case in done if self.store.has_unfinished() else ():
            path = self.store.unfinished_path(self.recording.address(case))
            with suppress(OSError):  # in a read-only folder the journals stay, which does no harm
                self.store.check_inside(path)
                path.unlink(missing_ok=True)

    def is_begun(self, case: Case) -> bool:
        """Whether this run will resume `case` from the journal of an interrupted run.

        Raises:
            AccessError: if its model cannot be identified.
        """
        return self.recording.has_journal(case)

    def run(self, case: Case, prepared: PreparedModel | None = None) -> Record:
        """Measure `case`, check the measurement, write its record and return it.

        An energy workload is interleaved with the other expected levels. Their records are written too, and returned
        when `run` is called for their cases.

        Args:
            case: the case to measure.
            prepared: the model at the case's level; None for architecture cases.

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

    def _run_on(self, case: Case, prepared: PreparedModel) -> Record:
        """Measure a case that needs the model."""
        started_at, start_s = datetime.now(UTC), time.perf_counter()
        if isinstance(case.subject, Workload):
            return self._run_workload(case, prepared, started_at)
        if isinstance(case.subject, LayerScan):
            return self._run_scan(case, prepared, started_at)
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

    def _run_scan(self, case: Case, prepared: PreparedModel, started_at: datetime) -> Record:
        if self._is_random:
            raise SettingsError(f"{case.id}: {RANDOM_ACCURACY}")
        tokenizer, limit = prepared.loaded.tokenizer, self.settings.limit
        texts = self.preparation.texts(case.model, tokenizer)
        answers = self.recording.journal(case, started_at)
        rows = held_out_rows(case.model, tokenizer, ROWS if limit is None else min(limit, ROWS))
        found, pruning = scan_layers(prepared, case.pruning, texts, rows, answers)
        resumed = answers.resumed()
        parts = {
            "scan": scan_fields(found, describe_text(case.model, FixedText.HELD_OUT)),
            "runtime": {"threads": prepared.threads},
            "timing": {"load_s": prepared.loaded.load_s},
            "memory": prepared.memory,
            "resumed": resumed,
        }
        duration_s = found.scan_s + (resumed["seconds"] if resumed else 0.0)
        record = self.recording.write(case, pruning, started_at, duration_s, parts)
        answers.remove()
        return record

    def check_folder(self) -> None:
        """Create the results folder and check that it can be written, before a case costs time.

        Raises:
            RecordError: if it cannot be written, or has disappeared during the run.
        """
        self.recording.check_folder()

    def has_measured(self, case: Case) -> bool:
        """Whether `case` was measured together with another level, so that `run` only returns its record."""
        return case.id in self._measured

    def _may_measure(self, case: Case) -> bool:
        """Take the lease of `case`, to interleave it; False if another run measures it or has finished it."""
        if not self.leases.take(case):
            return False
        if self.is_done(case):
            self.leases.give_back(case)
            return False
        return True

    def pass_functions(self, case: Case, prepared: PreparedModel) -> Iterator[Callable[[], None]]:
        """One function per seed that runs one pass over an energy case's prompts, for use with another timer."""
        return self._profile(case, prepared).pass_functions()

    def _run_workload(self, case: Case, prepared: PreparedModel, started_at: datetime) -> Record:
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
        """Power of the idle machine with a model loaded; measured once per run, None unless the run asks for it."""
        if self._idle is None and self.settings.idle_s > 0:
            self._idle = measure_idle(
                self.meter,
                prepared.loaded.model.device,
                self.settings.idle_s,
                allow_shared=self.settings.allow_shared,
            )
        return self._idle

    def _prune_on_meta(self, case: Case) -> PruningResult:
        """Build and prune the declared shape on the meta device, without weights: exact widths and parameter counts."""
        shape = case.model.architecture
        assert shape is not None
        result = prune(build_on_meta(shape), case.pruning)
        if result.parameters != shape.parameters(result.widths):
            raise VerificationError(
                f"{case.id}: the pruned model has {result.parameters} parameters, "
                f"the declared shape gives {shape.parameters(result.widths)}; correct the study"
            )
        return result
