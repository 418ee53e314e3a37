"""Idle power: what the machine draws at rest with the model resident, and what is left of a window without it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.energy.window import EnergyMeter, EnergyReading

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Watts at rest over `seconds`, on the scope of the windows: the same parts, from the same sources."""

    seconds: float
    total_w: float | None
    parts_w: dict[str, float | None]

    def net_j(self, reading: EnergyReading) -> float | None:
        """Joules of a window beyond what the resting machine draws in the same time; negative if it comes out so."""
        if reading.total_j is None or self.total_w is None:
            return None
        return reading.total_j - self.total_w * reading.window_s

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def measure_idle(meter: EnergyMeter, device: torch.device, seconds: float) -> IdlePower:
    """Rest for `seconds` inside a window of its own."""
    with meter.window(device) as window:
        time.sleep(seconds)
    return idle_power(window.result())


def idle_power(reading: EnergyReading) -> IdlePower:
    """Average power of a window in which nothing was done."""
    parts = {name: getattr(reading, name).energy_j for name in ("gpu", "cpu", "ram")}
    watts = {name: None if joules is None else joules / reading.window_s for name, joules in parts.items()}
    total_w = None if reading.total_j is None else reading.total_j / reading.window_s
    return IdlePower(reading.window_s, total_w, watts)
