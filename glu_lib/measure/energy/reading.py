"""What an energy window gave: joules of each part with their sources, and a total of all the parts or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from glu_lib.errors import MeasurementError

JOULES_PER_KWH = 3_600_000.0
PARTS = ("gpu", "cpu", "ram")
EVERY_MACHINE_HAS = ("cpu", "ram")
STOOD_STILL = "the counter did not advance in this window"

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


def read_components(
    data: Any,
    sources: Mapping[str, tuple[str, Quality]],
    window_s: float,
    carbon_intensity: float | None = None,
    *,
    on_gpu: bool = False,
) -> EnergyReading:
    """Turn CodeCarbon's task data (`*_energy` in kWh) into joules, once.

    `stop()` and `emissions` are kg CO2e and are not read. A part without a source, or whose counter did
    not advance, gets None and the reason, never 0.

    Args:
        data: of the task.
        sources: where the figures come from; a part without one is not read.
        window_s: seconds of the window.
        carbon_intensity: g CO2e/kWh, if the user gave it.
        on_gpu: the work was done on a GPU, so that the machine has one.
    """
    parts = {name: _component(name, getattr(data, f"{name}_energy"), sources) for name in PARTS}
    expected = [name for name in PARTS if name in EVERY_MACHINE_HAS or name in sources or (on_gpu and name == "gpu")]
    return _reading(window_s, parts, expected, carbon_intensity, _is_short(window_s, parts))


def summed(readings: Sequence[EnergyReading]) -> EnergyReading:
    """Several windows of one piece of work as one reading, part by part; a part that one of them lacks has no figure.

    Raises:
        MeasurementError: without any window.
    """
    if not readings:
        raise MeasurementError("no energy window was opened, so there is nothing to sum; report this as a bug")
    parts = {name: _together([reading.parts[name] for reading in readings]) for name in PARTS}
    co2e_kg = [reading.co2e_kg for reading in readings if reading.co2e_kg is not None]
    reason = next((reading.total_reason for reading in readings if reading.total_j is None), None)
    is_whole = reason is None and all(reading.total_j is not None for reading in readings)
    return EnergyReading(
        window_s=sum(reading.window_s for reading in readings),
        gpu=parts["gpu"],
        cpu=parts["cpu"],
        ram=parts["ram"],
        total_j=sum(reading.total_j or 0.0 for reading in readings) if is_whole else None,
        quality=worst_quality([reading.quality for reading in readings]) if is_whole else None,
        co2e_kg=sum(co2e_kg) if is_whole and len(co2e_kg) == len(readings) else None,
        is_short=any(reading.is_short for reading in readings),
        total_reason=reason,
    )


def without_figures(window_s: float, reason: str) -> EnergyReading:
    """A reading of windows whose energy is not that of the work: no energies, for that reason."""
    nothing = Component(None, None, None, reason)
    return EnergyReading(window_s, nothing, nothing, nothing, None, None, total_reason=reason)


def worst_quality(qualities: Sequence[str | None]) -> Quality | None:
    """Measured if all of several figures are; None where one of them is not there."""
    if not qualities or None in qualities:
        return None
    return Quality.MEASURED if set(qualities) == {Quality.MEASURED} else Quality.ESTIMATED


def resolution_s(source: str) -> float:
    """Seconds below which a source's figure is noise: the step of its counter, or of CodeCarbon's sampling."""
    return _RESOLUTION_S.get(source, _SAMPLING_S)


def _reading(
    window_s: float,
    parts: Mapping[str, Component],
    expected: Sequence[str],
    carbon_intensity: float | None,
    is_short: bool,
) -> EnergyReading:
    lacking = [name for name in expected if parts[name].energy_j is None]
    total_j = None if lacking else sum(parts[name].energy_j or 0.0 for name in expected)
    return EnergyReading(
        window_s=window_s,
        gpu=parts["gpu"],
        cpu=parts["cpu"],
        ram=parts["ram"],
        total_j=total_j,
        quality=None if lacking else worst_quality([parts[name].quality for name in expected]),
        co2e_kg=None if total_j is None or carbon_intensity is None else _co2e_kg(total_j, carbon_intensity),
        is_short=is_short,
        total_reason="; ".join(f"{name.upper()}: {parts[name].reason}" for name in lacking) or None,
    )


def _co2e_kg(total_j: float, carbon_intensity: float) -> float:
    return total_j / JOULES_PER_KWH * carbon_intensity / 1000.0


def _is_short(window_s: float, parts: Mapping[str, Component]) -> bool:
    return any(window_s < resolution_s(part.source) for part in parts.values() if part.source is not None)


def _component(name: str, energy_kwh: float, sources: Mapping[str, tuple[str, Quality]]) -> Component:
    if name not in sources:
        return Component(None, None, None, f"no {name.upper()} that CodeCarbon can read")
    source, quality = sources[name]
    if energy_kwh <= 0:
        return Component(None, source, quality, STOOD_STILL)
    return Component(energy_kwh * JOULES_PER_KWH, source, quality)


def _together(parts: Sequence[Component]) -> Component:
    first = parts[0]
    lacking = next((part for part in parts if part.energy_j is None), None)
    if lacking is not None:
        return Component(None, first.source, first.quality, lacking.reason)
    return Component(sum(part.energy_j or 0.0 for part in parts), first.source, first.quality)
