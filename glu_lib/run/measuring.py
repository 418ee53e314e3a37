"""Measures a case by its kind, and returns the records that this gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from glu_lib.errors import SettingsError
from glu_lib.measure.prepared import PreparedModel
from glu_lib.results.records import Record
from glu_lib.run.accuracy_case import record_accuracy
from glu_lib.run.architecture_case import record_architecture
from glu_lib.run.energy_cases import EnergyCases
from glu_lib.run.experiment import Experiment
from glu_lib.run.interleaving import Claim
from glu_lib.run.layer_case import record_layers
from glu_lib.study import LayerScan, Task
from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case
from glu_lib.study.settings import Weights

RANDOM_ACCURACY = "random weights have no accuracy; with --weights random select workloads only: -m carbon"


@dataclass(slots=True)
class Measuring:
    """Measures the cases of one run; its energy workloads share what is measured once per run."""

    experiment: Experiment
    energy: EnergyCases = field(init=False)

    def __post_init__(self) -> None:
        self.energy = EnergyCases(self.experiment)

    def measure(
        self, case: Case, prepared: PreparedModel | None, others: Sequence[Case], claim: Claim
    ) -> dict[Case, Record]:
        """Measure `case`, check the measurement, and write its record.

        Args:
            case: the case to measure.
            prepared: the model at the case's level; None for architecture cases.
            others: pending cases that are measured together with it, if it is an energy case.
            claim: takes the lease of one of them; False if another run measures it or has finished it.

        Returns:
            The records written, by case: that of `case`, and for an energy case those of the other levels.

        Raises:
            MeasurementError: if the measurement is incomplete or impossible; nothing is recorded.
            RecordError: if a record cannot be written.
            DeviceError: if the GPU has failed for good.
        """
        experiment = self.experiment
        if prepared is None:
            return {case: record_architecture(experiment.recorder, case)}
        with experiment.guard.using():
            if case.kind in ENERGY_KINDS:
                return self.energy.record(case, prepared, others, claim)
            if experiment.settings.weights is Weights.RANDOM:
                raise SettingsError(f"{case.id}: {RANDOM_ACCURACY}")
            if isinstance(case.subject, LayerScan):
                return {case: record_layers(experiment, case, prepared)}
            assert isinstance(case.subject, Task)
            return {case: record_accuracy(experiment, case, case.subject, prepared)}
