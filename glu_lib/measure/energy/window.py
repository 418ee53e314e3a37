"""Energy windows: CodeCarbon's task windows around a block of work, the device synchronized at both edges."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import synchronize
from glu_lib.measure.energy.reading import read_components
from glu_lib.measure.energy.tracker import append_emissions, make_tracker, sources
from glu_lib.results.energy import EnergyReading

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Window:
    """Handle of an open window; `reading` is there once it has closed."""

    reading: EnergyReading | None = None

    def result(self) -> EnergyReading:
        """The closed window's reading.

        Raises:
            MeasurementError: while the window is open.
        """
        if self.reading is None:
            raise MeasurementError("the energy window is still open; read it after its `with` block")
        return self.reading


@dataclass(slots=True)
class EnergyMeter:
    """One CodeCarbon tracker per process; each measurement is a task window inside it.

    `carbon_intensity` (g CO2e/kWh) makes energy into CO2e; without it there is none.
    """

    carbon_intensity: float | None = None
    _tracker: Any = field(default=None)
    _opened: int = 0

    def start(self, device: torch.device) -> None:
        """Make the tracker ready, most of a second the first time: before anything is timed that holds a window."""
        if self._tracker is None:
            self._tracker = make_tracker(device)

    @contextmanager
    def window(self, device: torch.device, log: Path | None = None) -> Iterator[Window]:
        """Measure the block; the device is synchronized at both edges, so that queued work is inside.

        An exception in the block closes the window and passes through.

        Args:
            device: where the work is done.
            log: a folder in which CodeCarbon appends its own row to its own `emissions.csv`.
        """
        self.start(device)
        tracker, window = self._tracker, Window()
        self._opened += 1
        name = f"window-{self._opened}"
        synchronize(device)
        tracker.start_task(name)
        start_s = time.perf_counter()
        try:
            yield window
        finally:
            synchronize(device)
            window_s = time.perf_counter() - start_s
            data = tracker.stop_task(name)
            window.reading = read_components(
                data, sources(tracker), window_s, self.carbon_intensity, on_gpu=device.type == "cuda"
            )
            if log is not None:
                append_emissions(log, data)
