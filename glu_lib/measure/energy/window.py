"""Energy windows: CodeCarbon tasks around a block of work, with the device synchronized at both ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import synchronize
from glu_lib.machine.signals import uninterrupted
from glu_lib.measure.energy.reading import read_components
from glu_lib.measure.energy.tracker import append_emissions, country_intensity, make_tracker, sources
from glu_lib.results.energy import EnergyReading
from glu_lib.study.settings import Settings

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Window:
    """Handle of a window; `reading` is None until the window is closed."""

    reading: EnergyReading | None = None

    def result(self) -> EnergyReading:
        """The reading of the closed window.

        Raises:
            MeasurementError: if the window is still open.
        """
        if self.reading is None:
            raise MeasurementError("the energy window is still open; read it after its `with` block")
        return self.reading


@dataclass(slots=True)
class EnergyMeter:
    """One CodeCarbon tracker per process; each energy window is a task of it.

    CodeCarbon's scheduler takes its lock without `finally`, so signals wait until its calls have ended.

    `carbon_intensity` (g CO2e/kWh) converts energy into CO2e; without it CO2e is None.
    """

    carbon_intensity: float | None = None
    _tracker: Any = field(default=None)
    _opened: int = 0

    def start(self, device: torch.device) -> None:
        """Set up the tracker. The first call takes most of a second, so it must come before any timed work."""
        if self._tracker is None:
            with uninterrupted():
                self._tracker = make_tracker(device)

    @contextmanager
    def window(self, device: torch.device, log: Path | None = None) -> Iterator[Window]:
        """Measure the block. The device is synchronized at both ends, so that all of the block's work is included.

        An exception in the block closes the window and is raised again.

        Args:
            device: device of the work.
            log: folder in which CodeCarbon appends a row to `emissions.csv`; None writes nothing.
        """
        self.start(device)
        tracker, window = self._tracker, Window()
        self._opened += 1
        name = f"window-{self._opened}"
        synchronize(device)
        start_s: float | None = None
        try:
            with uninterrupted():
                tracker.start_task(name)
                start_s = time.perf_counter()
            yield window
        finally:
            if start_s is not None:
                synchronize(device)
                window_s = time.perf_counter() - start_s
                with uninterrupted():
                    data = tracker.stop_task(name)
                window.reading = read_components(
                    data, sources(tracker), window_s, self.carbon_intensity, on_gpu=device.type != "cpu"
                )
                if log is not None:
                    append_emissions(log, data)


def meter_of(settings: Settings) -> EnergyMeter:
    """The meter of a run, with the carbon intensity of its country or the one given.

    Raises:
        SettingsError: if the country is not known.
    """
    country = settings.country
    return EnergyMeter(country_intensity(country) if country else settings.carbon_intensity)
