"""Energy windows: CodeCarbon's task windows in joules, with what was measured and what was guessed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.environment import synchronize
from glu_lib.errors import MeasurementError, RecordError, SettingsError

if TYPE_CHECKING:
    import torch

JOULES_PER_KWH = 3_600_000.0


class Quality(StrEnum):
    """Whether a figure comes from a counter or from a model of the hardware."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


# CodeCarbon's CPU modes and the words for them; what is not listed here is not a counter.
_CPU_SOURCES = {
    "intel_rapl": ("rapl", Quality.MEASURED),
    "windows_emi": ("windows_emi", Quality.MEASURED),
    "intel_power_gadget": ("power_gadget", Quality.MEASURED),
    "cpu_load": ("cpu_load", Quality.ESTIMATED),
    "constant": ("tdp", Quality.ESTIMATED),
}


# NVML's energy counter moves every 20 to 100 ms, RAPL's every millisecond; what is no counter is sampled.
_RESOLUTION_S = {"nvml": 0.1, "amdsmi": 0.1, "rapl": 0.01}
_SAMPLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Component:
    """Energy of one part of the machine in joules; None with the reason where there is no figure."""

    energy_j: float | None
    source: str | None
    quality: Quality | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Energy of one window: per part and in total, joules; `window_s` in seconds.

    The total is the sum of the parts that have a figure; it is `measured` only if each of them is.
    `co2e_kg` is None unless the user said where the machine stands: a guess would be a wrong number.
    `is_short` says that the window is shorter than the step of one of its counters.
    """

    window_s: float
    gpu: Component
    cpu: Component
    ram: Component
    total_j: float | None
    quality: Quality | None
    co2e_kg: float | None = None
    is_short: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def incomplete(reading: EnergyReading, reason: str) -> EnergyReading:
    """The reading of a window that holds only a part of the work: no energies, for that reason."""
    nothing = Component(None, None, None, reason)
    return EnergyReading(reading.window_s, nothing, nothing, nothing, None, None)


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

    @contextmanager
    def window(self, device: torch.device, log: Path | None = None) -> Iterator[Window]:
        """Measure the block; the device is synchronized at both edges, so that queued work is inside.

        An exception in the block closes the window and passes through.

        Args:
            device: where the work is done.
            log: a folder in which CodeCarbon appends its own row to its own `emissions.csv`.
        """
        tracker = self._started()
        window = Window()
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
            window.reading = read_components(data, sources(tracker), window_s, self.carbon_intensity)
            if log is not None:
                _append_emissions(log, data)

    def _started(self) -> Any:
        """The tracker, made on first use; its first task costs most of a second and is thrown away."""
        if self._tracker is None:
            from codecarbon import OfflineEmissionsTracker

            logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it talks while it is being made
            # Allowing multiple runs keeps CodeCarbon from taking over the signal handlers for its lock.
            self._tracker = OfflineEmissionsTracker(
                output_methods=[],
                allow_multiple_runs=True,
                log_level="critical",
                tracking_mode="machine",
                measure_power_secs=_SAMPLING_S,
            )
            self._tracker.start_task("warm-up")
            self._tracker.stop_task("warm-up")
        return self._tracker


def sources(tracker: Any) -> dict[str, tuple[str, Quality]]:
    """Where CodeCarbon takes each part's figure from: `{"cpu": ("cpu_load", estimated), …}`."""
    from codecarbon.external.hardware import CPU, GPU, AppleSiliconChip
    from codecarbon.external.ram import RAM

    found: dict[str, tuple[str, Quality]] = {}
    for hardware in tracker._hardware:
        if isinstance(hardware, GPU):
            amd = any("amd" in type(device).__module__ for device in hardware.devices.devices)
            found["gpu"] = ("amdsmi" if amd else "nvml", Quality.MEASURED)
        elif isinstance(hardware, CPU):
            found["cpu"] = _CPU_SOURCES.get(hardware._mode, (str(hardware._mode), Quality.ESTIMATED))
        elif isinstance(hardware, AppleSiliconChip):
            found[hardware.chip_part.lower()] = ("powermetrics", Quality.MEASURED)
        elif isinstance(hardware, RAM):
            found["ram"] = ("ram_model", Quality.ESTIMATED)
    return found


def _append_emissions(folder: Path, data: Any) -> None:
    from codecarbon.output_methods.file import FileOutput

    try:
        folder.mkdir(parents=True, exist_ok=True)
        FileOutput("emissions.csv", str(folder)).out(data, None)
    except OSError as error:
        raise RecordError(
            f"{folder}: emissions.csv cannot be written ({error.strerror}); free space or rights"
        ) from error


def country_intensity(country: str) -> float:
    """Mean carbon intensity of a country's electricity, g CO2e/kWh, from CodeCarbon's table of energy mixes.

    Raises:
        SettingsError: for a code that the table does not have.
    """
    from codecarbon.input import DataSource

    table = DataSource().get_global_energy_mix_data()
    if country.upper() not in table:
        raise SettingsError(f"--country {country!r}: CodeCarbon has no energy mix for it; give an ISO code as DEU, USA")
    return float(table[country.upper()]["carbon_intensity"])


def read_components(
    data: Any, sources: dict[str, tuple[str, Quality]], window_s: float, carbon_intensity: float | None = None
) -> EnergyReading:
    """Turn CodeCarbon's task data (`*_energy` in kWh) into joules, once.

    `stop()` and `emissions` are kg CO2e and are not read. A part without a source, or whose counter did
    not advance, gets None and the reason, never 0.
    """
    parts = {name: _component(name, getattr(data, f"{name}_energy"), sources) for name in ("gpu", "cpu", "ram")}
    known = [part for part in parts.values() if part.energy_j is not None]
    total_j = sum(part.energy_j or 0.0 for part in known) if known else None
    co2e_kg = None
    if total_j is not None and carbon_intensity is not None:
        co2e_kg = total_j / JOULES_PER_KWH * carbon_intensity / 1000.0
    measured = all(part.quality is Quality.MEASURED for part in known)
    return EnergyReading(
        window_s=window_s,
        gpu=parts["gpu"],
        cpu=parts["cpu"],
        ram=parts["ram"],
        total_j=total_j,
        quality=(Quality.MEASURED if measured else Quality.ESTIMATED) if known else None,
        co2e_kg=co2e_kg,
        is_short=any(window_s < resolution_s(part.source) for part in parts.values() if part.source is not None),
    )


def resolution_s(source: str) -> float:
    """Seconds below which a source's figure is noise: the step of its counter, or of CodeCarbon's sampling."""
    return _RESOLUTION_S.get(source, _SAMPLING_S)


def _component(name: str, energy_kwh: float, sources: dict[str, tuple[str, Quality]]) -> Component:
    if name not in sources:
        return Component(None, None, None, f"no {name.upper()} that CodeCarbon can read")
    source, quality = sources[name]
    if energy_kwh <= 0:
        return Component(None, source, quality, "the counter did not advance in this window")
    return Component(energy_kwh * JOULES_PER_KWH, source, quality)
