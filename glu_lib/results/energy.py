"""Energies as records hold them: joules of each part of the machine with their source and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

JOULES_PER_KWH = 3_600_000.0


PARTS = ("gpu", "cpu", "ram")


EVERY_MACHINE_HAS = ("cpu", "ram")


# NVML's energy counter moves every 20 to 100 ms, RAPL's every millisecond; what is no counter is sampled.
_RESOLUTION_S = {"nvml": 0.1, "amdsmi": 0.1, "rapl": 0.01}


_SAMPLING_S = 1.0


class Quality(StrEnum):
    """Whether a figure comes from a counter or from a model of the hardware."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


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

    The total is the sum of all parts that the machine has; where one of them has no figure there is no total, and
    `total_reason` says why. It is `measured` only if every part is.
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
    total_reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @property
    def parts(self) -> dict[str, Component]:
        """The parts by name."""
        return {"gpu": self.gpu, "cpu": self.cpu, "ram": self.ram}


def worst_quality(qualities: Sequence[str | None]) -> Quality | None:
    """Measured if all of several figures are; None where one of them is not there."""
    if not qualities or None in qualities:
        return None
    return Quality.MEASURED if set(qualities) == {Quality.MEASURED} else Quality.ESTIMATED


def resolution_s(source: str) -> float:
    """Seconds below which a source's figure is noise: the step of its counter, or of CodeCarbon's sampling."""
    return _RESOLUTION_S.get(source, _SAMPLING_S)
