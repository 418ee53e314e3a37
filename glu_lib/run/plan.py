"""The plan of a run: which of its cases are done, pending or blocked, and by what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from glu_lib.errors import AccessError, CalibrationError, DeviceError, GluError, RecordError
from glu_lib.results.staleness import CaseState, Status
from glu_lib.study import Method, ModelVariant, Task
from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.pruning import Pruning

RESULTS_FOLDER = "the results folder"
GPU = "the GPU"  # failed for good: only a new process can use it again


@dataclass(slots=True)
class Plan:
    """The cases of a run, and what is known about them.

    Attributes:
        rerun: whether done cases run again.
        states: state of each case, by id, as it was last looked up.
        pending: the cases that this run has not measured yet, by id, in the order of the run.
        measured: ids of the cases that were measured together with another level, until their own turn.
        blocked: the error of each cause that blocks cases, as the key of a model that cannot be loaded.
        elsewhere: ids of cases that another run on the same results folder is measuring.
    """

    rerun: bool = False
    states: dict[str, CaseState] = field(default_factory=dict)
    pending: dict[str, Case] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    blocked: dict[str, GluError] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)

    def is_done(self, case: Case) -> bool:
        """Whether `case` is to be skipped: its record was there before its turn, and the run has no `--rerun`."""
        state = self.states.get(case.id)
        is_done = state is not None and state.status is Status.DONE
        return is_done and not self.rerun and case.id not in self.measured

    def count(self, status: Status) -> int:
        """Number of cases with this status."""
        return sum(state.status is status for state in self.states.values())

    def companions(self, case: Case) -> list[Case]:
        """The pending cases that measure the same workload of the same model at other levels."""
        if case.kind not in ENERGY_KINDS:
            return []
        wanted = (case.model, case.subject)
        return [
            other
            for other in self.pending.values()
            if (other.model, other.subject) == wanted and other.pruning != case.pruning
        ]

    def cause(self, case: Case) -> str | None:
        """The cause that blocks `case`, a key of `blocked`; None if nothing does."""
        return next((cause for cause in _causes(case) if cause in self.blocked), None)


def _causes(case: Case) -> Iterator[str]:
    """The causes that can block a case."""
    yield RESULTS_FOLDER
    if case.kind is not CaseKind.ARCHITECTURE:
        yield from (GPU, case.model.key, case.group)
    if isinstance(case.subject, Task) and case.subject.is_chat:
        yield template_of(case.model)
    if case.pruning.method is Method.HYBRID:
        yield _calibration_text(case.model)


def template_of(variant: ModelVariant) -> str:
    """Cause that blocks cases with chat prompts if the model has no chat template."""
    return f"the chat template of {variant.key}"


def _calibration_text(variant: ModelVariant) -> str:
    """Cause that blocks cases of the calibrated method if the calibration text is not available."""
    return f"the calibration text of {variant.key}"


def cause_of_level(error: Exception, variant: ModelVariant, pruning: Pruning) -> str:
    """The cause that blocks cases after a model could not be prepared: the GPU, the text, the model or the level."""
    if isinstance(error, DeviceError):
        return GPU
    if isinstance(error, CalibrationError):
        return _calibration_text(variant)
    return variant.key if isinstance(error, AccessError) else f"{variant.key}-{pruning.key}"


def cause_for_all(error: GluError) -> str | None:
    """The cause that blocks all cases after a failed measurement; None if the error concerns only one case."""
    return {DeviceError: GPU, RecordError: RESULTS_FOLDER}.get(type(error))
