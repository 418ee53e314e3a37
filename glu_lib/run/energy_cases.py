"""Energy cases: the levels of a model are measured together on a workload, and the record of each is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from glu_lib.measure.energy.idle import IdlePower, measure_idle
from glu_lib.measure.energy.saturation import SaturationProfile, profile_saturation
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.energy.workload import WorkloadProfile, profile_workload
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.results.records import Record
from glu_lib.results.store import EMISSIONS
from glu_lib.run.experiment import Experiment
from glu_lib.run.interleaving import Claim, Interleaving
from glu_lib.study import Saturation, Study, Workload
from glu_lib.study.cases import Case
from glu_lib.study.settings import Settings

Instruments = tuple[EnergyMeter, TaskLibrary, Study, Settings, IdlePower | None, Path]


@dataclass(slots=True)
class EnergyCases:
    """Measures the energy workloads of a run; the power of the idle machine is measured once."""

    experiment: Experiment
    _interleaving: Interleaving = field(init=False)
    _idle: IdlePower | None = None

    def __post_init__(self) -> None:
        experiment = self.experiment
        self._interleaving = Interleaving(experiment.levels, self._profile, experiment.settings.seed)

    def record(self, case: Case, prepared: PreparedModel, others: Sequence[Case], claim: Claim) -> dict[Case, Record]:
        """Measure `case` together with the same workload at other levels, and write the records of all.

        Args:
            case: the case to measure.
            prepared: its model.
            others: the pending cases of the same workload and model.
            claim: takes the lease of another case; False if another run measures it or has finished it.

        Returns:
            The record of each measured case; `case` is one of them.

        Raises:
            MeasurementError: if `case` cannot be measured, or its figures are impossible.
            RecordError: if a record cannot be written.
        """
        started_at = datetime.now(UTC)
        records = {}
        for measured, (model, parts) in self._interleaving.measure(case, prepared, others, claim).items():
            subject = measured.subject
            size = {"batch_size": subject.batch_size} if isinstance(subject, Workload) else {}
            parts["runtime"] = {**size, "threads": model.threads}
            parts["timing"] = {"load_s": model.loaded.load_s}
            parts["memory"] = model.memory
            duration_s = parts.pop("measuring_s")
            record = self.experiment.recorder.write(measured, model.pruning, started_at, duration_s, parts)
            records[measured] = record
        return records

    def pass_functions(self, case: Case, prepared: PreparedModel) -> Iterator[Callable[[], None]]:
        """One function per seed that runs one pass over an energy case's prompts, for use with another timer."""
        assert isinstance(case.subject, Workload)
        return profile_workload(prepared.loaded, case.subject, *self._instruments(prepared)).pass_functions()

    def _profile(self, case: Case, prepared: PreparedModel) -> WorkloadProfile | SaturationProfile:
        if isinstance(case.subject, Saturation):
            return profile_saturation(prepared.loaded, case.subject, *self._instruments(prepared))
        assert isinstance(case.subject, Workload)
        return profile_workload(prepared.loaded, case.subject, *self._instruments(prepared))

    def _instruments(self, prepared: PreparedModel) -> Instruments:
        """What a measurement needs besides the model and the workload."""
        experiment, emissions = self.experiment, self.experiment.store.root / EMISSIONS
        experiment.recorder.make_room(emissions / "emissions.csv")
        return (
            experiment.meter,
            experiment.library,
            experiment.study,
            experiment.settings,
            self._idle_power(prepared),
            emissions,
        )

    def _idle_power(self, prepared: PreparedModel) -> IdlePower | None:
        """Power of the idle machine with a model loaded; measured once per run, None unless the run asks for it."""
        settings = self.experiment.settings
        if self._idle is None and settings.idle_s > 0:
            device = prepared.loaded.model.device
            self._idle = measure_idle(
                self.experiment.meter, device, settings.idle_s, allow_shared=settings.allow_shared
            )
        return self._idle
