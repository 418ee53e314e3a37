"""Energies that earlier versions recorded: totals that lack a part, net of other parts, settings from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.results.codecarbon_memory import ram_model_w
from glu_lib.results.energy import EVERY_MACHINE_HAS, PARTS, Quality

# A window's own clock and CodeCarbon's differ by what lies between their readings.
_TOLERANCE, _CLOCKS_APART_S = 0.05, 0.05
_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)


def wrong_energies(record: Mapping[str, Any]) -> list[str]:
    """What this version would not have recorded of a case's energy, a line each; nothing where all is as it should be.

    A record whose energies cannot be read says nothing here: whoever makes tables of records names that.
    """
    try:
        return list(dict.fromkeys(_wrong(record)))
    except _UNREADABLE:
        return []


def unlike_windows(record: Mapping[str, Any]) -> str | None:
    """Why the energy of an accuracy case cannot stand beside that of other levels; None if it can.

    Windows of earlier versions, which say nothing of `conditions`, also held the making of requests: of the first level
    of a run only.
    """
    if record["kind"] != "accuracy" or "conditions" in record:
        return None
    return "its window also held the making of requests, as an earlier version measured it; --rerun measures it again"


def _wrong(record: Mapping[str, Any]) -> Iterator[str]:
    environment = record["environment"]
    on_gpu = str(environment.get("device", "")).startswith("cuda")
    for place, energy in _windows(record):
        yield from (f"{place} {line}" for line in _totals(energy, on_gpu))
        if "total_reason" not in energy:  # later versions keep settings from outside away
            yield from (f"{place} {line}" for line in _memory(energy, environment["memory_bytes"]))
    yield from _idle(record)


def _windows(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every energy window of a record, with words for it."""
    if isinstance(record.get("energy"), Mapping):
        yield "its energy", record["energy"]
    for repeat in record.get("repeats") or ():
        yield f"its energy, seed {int(repeat['seed'])},", repeat["energy"]
        yield f"its energy at natural length, seed {int(repeat['seed'])},", repeat["natural"]["energy"]


def _totals(energy: Mapping[str, Any], on_gpu: bool) -> Iterator[str]:
    """A total is the sum of all parts that the machine has, and as good as the worst of them."""
    if energy["total_j"] is None:
        return
    expected = [part for part in PARTS if _is_there(part, energy[part], on_gpu)]
    for part in expected:
        if energy[part]["energy_j"] is None:
            yield f"lacks the {part.upper()} in its total ({str(energy[part]['reason'])[:80]})"
    worse = [part for part in expected if energy[part]["quality"] != Quality.MEASURED]
    if energy["quality"] == Quality.MEASURED and worse:
        yield f"is called measured, its {worse[0].upper()} was not"


def _is_there(part: str, found: Mapping[str, Any], on_gpu: bool) -> bool:
    return part in EVERY_MACHINE_HAS or found["source"] is not None or (on_gpu and part == "gpu")


def _memory(energy: Mapping[str, Any], memory_bytes: int) -> Iterator[str]:
    """CodeCarbon's model of the memory is a constant: another figure came from outside (pue, force_ram_power)."""
    ram = energy["ram"]
    if ram["source"] != "ram_model" or ram["energy_j"] is None:
        return
    found_w, models_w = ram["energy_j"] / energy["window_s"], ram_model_w(memory_bytes)
    allowed = _TOLERANCE + _CLOCKS_APART_S / energy["window_s"]
    if all(abs(found_w / watts - 1) > allowed for watts in models_w):
        yield (
            f"has {found_w:.3g} W for the memory where CodeCarbon's model gives {models_w[-1]:.3g} W: "
            "settings from outside (pue, force_ram_power) were in force"
        )


def _idle(record: Mapping[str, Any]) -> Iterator[str]:
    """Net of idle compares the same parts."""
    idle = record.get("idle")
    if not idle or idle["total_w"] is None:
        return
    for repeat in record["repeats"]:
        for part in PARTS:
            if (idle["parts_w"][part] is None) != (repeat["energy"][part]["energy_j"] is None):
                yield f"its idle power and its windows are not of the same parts ({part.upper()})"


def check_energy(energy: dict[str, Any]) -> None:
    """Let pass only energies above zero, or null with a reason.

    Raises:
        MeasurementError: naming the part.
    """
    for name in ("gpu", "cpu", "ram"):
        part = energy[name]
        if part["energy_j"] is None and not part["reason"]:
            raise MeasurementError(f"energy of {name} is missing without a reason; report this as a bug")
        if part["energy_j"] is not None and not part["energy_j"] > 0:
            raise MeasurementError(f"energy of {name} is {part['energy_j']} J; it must be above 0 or null")
    if "total_j" in energy and energy["total_j"] is None and not energy["total_reason"]:
        raise MeasurementError("the total energy is missing without a reason; report this as a bug")
