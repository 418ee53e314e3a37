"""Idle power: the machine's power at rest with the model loaded, and the net energy of a window without it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.energy.conditions import MOST_OTHER_CORES, observed_conditions
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.results.energy import EnergyReading

if TYPE_CHECKING:
    import torch

ATTEMPTS = 3  # at a measurement that other busy processes disturb


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Power at rest in watts, averaged over `seconds`, for the same parts and sources as the energy windows.

    `exclusive` says that no other process was busy meanwhile. `total_reason` says why there is no total.
    """

    seconds: float
    total_w: float | None
    parts_w: dict[str, float | None]
    exclusive: bool = True
    total_reason: str | None = None

    def net_j(self, reading: EnergyReading) -> float | None:
        """Energy of a window in joules minus that of the resting machine in the same time; may be negative.

        None unless both totals are sums over the same parts.
        """
        if reading.total_j is None or self.total_w is None:
            return None
        if any((part.energy_j is None) != (self.parts_w[name] is None) for name, part in reading.parts.items()):
            return None
        return reading.total_j - self.total_w * reading.window_s

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def measure_idle(meter: EnergyMeter, device: torch.device, seconds: float, *, allow_shared: bool) -> IdlePower:
    """Measure the idle power over `seconds` of rest.

    Raises:
        MeasurementError: if other processes were busy in every attempt and sharing is not allowed.
    """
    meter.start(device)
    for _ in range(ATTEMPTS):
        with observed_conditions(device, allow_shared=allow_shared) as conditions, meter.window(device) as window:
            time.sleep(seconds)
        if conditions["exclusive"] or allow_shared:
            return idle_power(window.result(), exclusive=conditions["exclusive"])
    raise busy_machine("idle power", conditions)


def busy_machine(what: str, conditions: dict[str, Any]) -> MeasurementError:
    """The error for a machine on which other processes stay busy."""
    return MeasurementError(
        f"{what}: other processes were too busy in each of {ATTEMPTS} attempts ({conditions['other_cpu_cores']:.2f} "
        f"cores in the last one, {MOST_OTHER_CORES} are allowed); wait until they end, or record it as shared with "
        "--allow-shared"
    )


def idle_power(reading: EnergyReading, *, exclusive: bool = True) -> IdlePower:
    """The average power of a window at rest."""
    watts = {
        name: None if part.energy_j is None else part.energy_j / reading.window_s
        for name, part in reading.parts.items()
    }
    total_w = None if reading.total_j is None else reading.total_j / reading.window_s
    return IdlePower(reading.window_s, total_w, watts, exclusive, reading.total_reason)
