"""The energy of a case: the sum of the windows around the model's work, and the conditions during them."""

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
    """The energy windows of one case on `device`, opened whenever the model computes. Nested windows count once."""

    meter: EnergyMeter
    device: torch.device
    readings: list[EnergyReading] = field(default_factory=list)
    observed: Observed = field(init=False)
    _is_open: bool = False

    def __post_init__(self) -> None:
        self.meter.start(self.device)  # the first call takes most of a second, which must not be inside a window
        self.observed = Observed(self.device)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Measure the block and its conditions; does nothing inside another window."""
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
        """The sum of all windows; if a `reason` against it is given, a reading without joules."""
        if not self.readings:
            return without_figures(0.0, reason or NOTHING_COMPUTED)
        whole = summed(self.readings)
        return without_figures(whole.window_s, reason) if reason else whole

    def conditions(self) -> dict[str, Any]:
        """The conditions of all windows together."""
        return self.observed.as_dict()
