"""The prepared models in memory: that of the current (model, level), and those that wait for their own cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from glu_lib.measure.prepared import PreparedModel
from glu_lib.run.device_guard import DeviceGuard
from glu_lib.study import ModelVariant
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning


@dataclass(slots=True)
class Levels:
    """Loads each (model, level) once.

    An energy workload is measured on several levels at once. Their models stay in `residents`, keyed by (model, level)
    as in `Case.group`, until their own cases run.
    """

    prepare: Callable[[ModelVariant, Pruning], PreparedModel]
    guard: DeviceGuard
    residents: dict[str, PreparedModel] = field(default_factory=dict)

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
            prepared = self._take(f"{variant.key}-{pruning.key}") or self.prepare(variant, pruning)
        try:
            yield prepared
        finally:
            self.guard.free(prepared)

    def _take(self, group: str) -> PreparedModel | None:
        """Remove and return the resident model of a group; if there is none, free all residents and return None."""
        if group not in self.residents:
            self.release()
        return self.residents.pop(group, None)

    def resident(self, case: Case) -> PreparedModel:
        """The model of `case` beside the current one; it stays in memory until its own cases run."""
        if case.group not in self.residents:
            self.residents[case.group] = self.prepare(case.model, case.pruning)
        return self.residents[case.group]

    def release(self) -> None:
        """Free all resident models."""
        while self.residents:
            self.residents.popitem()[1].release()
