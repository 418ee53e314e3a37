"""Energy windows: CodeCarbon's task windows in joules, with what was measured and what was guessed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from glu_lib.environment import synchronize
from glu_lib.errors import MeasurementError

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
    `co2e_kg` is None: nobody said where the machine stands, and a guess would be a wrong number.
    """

    window_s: float
    gpu: Component
    cpu: Component
    ram: Component
    total_j: float | None
    quality: Quality | None
    co2e_kg: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


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
    """One CodeCarbon tracker per process; each measurement is a task window inside it."""

    _tracker: Any = field(default=None)
    _opened: int = 0

    @contextmanager
    def window(self, device: torch.device) -> Iterator[Window]:
        """Measure the block; the device is synchronized at both edges, so that queued work is inside.

        An exception in the block closes the window and passes through.
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
            window.reading = read_components(tracker.stop_task(name), sources(tracker), window_s)

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
                measure_power_secs=1,
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


def read_components(data: Any, sources: dict[str, tuple[str, Quality]], window_s: float) -> EnergyReading:
    """Turn CodeCarbon's task data (`*_energy` in kWh) into joules, once.

    `stop()` and `emissions` are kg CO2e and are not read. A part without a source, or whose counter did
    not advance, gets None and the reason, never 0.
    """
    parts = {name: _component(name, getattr(data, f"{name}_energy"), sources) for name in ("gpu", "cpu", "ram")}
    known = [part for part in parts.values() if part.energy_j is not None]
    measured = all(part.quality is Quality.MEASURED for part in known)
    return EnergyReading(
        window_s=window_s,
        gpu=parts["gpu"],
        cpu=parts["cpu"],
        ram=parts["ram"],
        total_j=sum(part.energy_j or 0.0 for part in known) if known else None,
        quality=(Quality.MEASURED if measured else Quality.ESTIMATED) if known else None,
    )


def _component(name: str, energy_kwh: float, sources: dict[str, tuple[str, Quality]]) -> Component:
    if name not in sources:
        return Component(None, None, None, f"no {name.upper()} that CodeCarbon can read")
    source, quality = sources[name]
    if energy_kwh <= 0:
        return Component(None, source, quality, "the counter did not advance in this window")
    return Component(energy_kwh * JOULES_PER_KWH, source, quality)
