"""Energies as they are recorded: joules of each part of the machine, with source and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

JOULES_PER_KWH = 3_600_000.0


PARTS = ("gpu", "cpu", "ram")


EVERY_MACHINE_HAS = ("cpu", "ram")


# NVML updates its energy counter every 20 to 100 ms, RAPL every millisecond.
_RESOLUTION_S = {"nvml": 0.1, "amdsmi": 0.1, "rapl": 0.01}


_SAMPLING_S = 1.0  # sources without a counter are sampled


class Quality(StrEnum):
    """Whether a figure comes from a counter or from a model of the hardware."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Component:
    """Energy of one part of the machine in joules; None, with a reason, if it could not be read."""

    energy_j: float | None
    source: str | None
    quality: Quality | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Energy of one window in joules, per part and in total; `window_s` in seconds.

    The total is the sum over all parts of the machine. If a part has no figure, the total is None and `total_reason`
    says why. Its quality is `measured` only if every part is measured.
    `co2e_kg` is None unless the user named the carbon intensity or the country: a default would be a guess.
    `is_short`: the window is shorter than the step of one of its counters.
    """

    window_s: float
    gpu: Component
    cpu: Component
    ram: Component
    total_j: float | None
    quality: Quality | None
    co2e_kg: float | None = None
    is_short: bool = False
    total_reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @property
    def parts(self) -> dict[str, Component]:
        """The parts by name."""
        return {"gpu": self.gpu, "cpu": self.cpu, "ram": self.ram}


def worst_quality(qualities: Sequence[str | None]) -> Quality | None:
    """Measured if all qualities are measured, otherwise estimated; None if there are none or one is None."""
    if not qualities or None in qualities:
        return None
    return Quality.MEASURED if set(qualities) == {Quality.MEASURED} else Quality.ESTIMATED


def resolution_s(source: str) -> float:
    """Shortest window in seconds that a source resolves: its counter's step, or CodeCarbon's sampling interval."""
    return _RESOLUTION_S.get(source, _SAMPLING_S)
