"""The energy of a case's own work: windows around what the model computes, summed; who else was at work meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.measure.energy.conditions import Observed
from glu_lib.measure.energy.reading import summed, without_figures
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.results.energy import EnergyReading

if TYPE_CHECKING:
    import torch

NOTHING_COMPUTED = "the model computed nothing: all answers were there already"


@dataclass(slots=True)
class WorkWindows:
    """Windows of one case on `device`, opened wherever the model computes; one within another is a part of it."""

    meter: EnergyMeter
    device: torch.device
    readings: list[EnergyReading] = field(default_factory=list)
    observed: Observed = field(init=False)
    _is_open: bool = False

    def __post_init__(self) -> None:
        self.meter.start(self.device)  # takes most of a second the first time: not in a window
        self.observed = Observed(self.device)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Measure the block, and what others do meanwhile."""
        if self._is_open:
            yield
            return
        self._is_open = True
        try:
            with self.observed.block(), self.meter.window(self.device) as window:
                yield
            self.readings.append(window.result())
        finally:
            self._is_open = False

    def result(self, reason: str | None = None) -> EnergyReading:
        """All windows as one reading; without joules for a `reason`, if there is one."""
        if not self.readings:
            return without_figures(0.0, reason or NOTHING_COMPUTED)
        whole = summed(self.readings)
        return without_figures(whole.window_s, reason) if reason else whole

    def conditions(self) -> dict[str, Any]:
        """The conditions of all windows together."""
        return self.observed.as_dict()
