"""The reading of an energy window: joules of each part with their sources, and a total only if no part is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.results.energy import (
    EVERY_MACHINE_HAS,
    JOULES_PER_KWH,
    PARTS,
    Component,
    EnergyReading,
    Quality,
    resolution_s,
    worst_quality,
)

STOOD_STILL = "the counter did not advance in this window"


def read_components(
    data: Any,
    sources: Mapping[str, tuple[str, Quality]],
    window_s: float,
    carbon_intensity: float | None = None,
    *,
    on_gpu: bool = False,
) -> EnergyReading:
    """Convert CodeCarbon's task data (`*_energy` in kWh) into joules.

    CodeCarbon's `stop()` and `emissions` are kg CO2e and are not used. A part without a source, or whose counter did
    not advance, gets None and the reason, never 0.

    Args:
        data: CodeCarbon's data of the task.
        sources: source and quality of each part's figure; a part without a source is not read.
        window_s: length of the window in seconds.
        carbon_intensity: g CO2e/kWh, if the user gave it.
        on_gpu: whether the work was done on a GPU, whose energy is then required for a total.
    """
    parts = {name: _component(name, getattr(data, f"{name}_energy"), sources) for name in PARTS}
    expected = [name for name in PARTS if name in EVERY_MACHINE_HAS or name in sources or (on_gpu and name == "gpu")]
    return _reading(window_s, parts, expected, carbon_intensity, _is_short(window_s, parts))


def summed(readings: Sequence[EnergyReading]) -> EnergyReading:
    """Sum several windows, part by part; a part that is missing in one window is missing in the sum.

    Raises:
        MeasurementError: if there is no window.
    """
    if not readings:
        raise MeasurementError("no energy window was opened, so there is no energy to sum; report this as a bug")
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
    """A reading without energies, because the windows do not give the energy of the work; `reason` says why."""
    nothing = Component(None, None, None, reason)
    return EnergyReading(window_s, nothing, nothing, nothing, None, None, total_reason=reason)


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


def check_energy(reading: EnergyReading) -> None:
    """Check that every energy is above 0, or None with a reason.

    Raises:
        MeasurementError: naming the part.
    """
    for name, part in reading.parts.items():
        if part.energy_j is None and not part.reason:
            raise MeasurementError(f"energy of {name} is missing without a reason; report this as a bug")
        if part.energy_j is not None and not part.energy_j > 0:
            raise MeasurementError(f"energy of {name} is {part.energy_j} J; it must be above 0 or null")
    if reading.total_j is None and not reading.total_reason:
        raise MeasurementError("the total energy is missing without a reason; report this as a bug")
