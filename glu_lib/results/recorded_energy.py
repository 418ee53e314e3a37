"""Checks of recorded energies for defects of earlier versions: totals without a part, wrong net, outside settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.results.codecarbon_memory import ram_model_w
from glu_lib.results.energy import EVERY_MACHINE_HAS, PARTS, Quality

# The window's clock and CodeCarbon's clock are read at slightly different times.
_TOLERANCE, _CLOCKS_APART_S = 0.05, 0.05
_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)


def wrong_energies(record: Mapping[str, Any]) -> list[str]:
    """Energies of a record that this version would reject, one line each.

    Empty for a record whose energies cannot be read: consolidation reports that.
    """
    try:
        return list(dict.fromkeys(_wrong(record)))
    except _UNREADABLE:
        return []


def unlike_windows(record: Mapping[str, Any]) -> str | None:
    """Why the energy of an accuracy case cannot be compared with that of other levels; None if it can.

    Earlier versions, whose records lack `conditions`, built the requests inside the energy window, and did so only at
    the first level of a run.
    """
    if record["kind"] != "accuracy" or "conditions" in record:
        return None
    return "an earlier version measured it, with the building of requests in its window; --rerun measures it again"


def _wrong(record: Mapping[str, Any]) -> Iterator[str]:
    environment = record["environment"]
    on_gpu = str(environment.get("device", "")).startswith("cuda")
    for place, energy in _windows(record):
        yield from (f"{place} {line}" for line in _totals(energy, on_gpu))
        if "total_reason" not in energy:  # later versions, which write this field, ignore outside settings
            yield from (f"{place} {line}" for line in _memory(energy, environment["memory_bytes"]))
    yield from _idle(record)


def _windows(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every energy window of a record, each with its name for messages."""
    if isinstance(record.get("energy"), Mapping):
        yield "its energy", record["energy"]
    for repeat in record.get("repeats") or ():
        yield f"its energy, seed {int(repeat['seed'])},", repeat["energy"]
        yield f"its energy at natural length, seed {int(repeat['seed'])},", repeat["natural"]["energy"]


def _totals(energy: Mapping[str, Any], on_gpu: bool) -> Iterator[str]:
    """Check that the total includes every part of the machine, and is measured only if all parts are."""
    if energy["total_j"] is None:
        return
    expected = [part for part in PARTS if _is_there(part, energy[part], on_gpu)]
    for part in expected:
        if energy[part]["energy_j"] is None:
            yield f"has a total without the {part.upper()} ({str(energy[part]['reason'])[:80]})"
    worse = [part for part in expected if energy[part]["quality"] != Quality.MEASURED]
    if energy["quality"] == Quality.MEASURED and worse:
        yield f"is called measured, but its {worse[0].upper()} energy is not"


def _is_there(part: str, found: Mapping[str, Any], on_gpu: bool) -> bool:
    return part in EVERY_MACHINE_HAS or found["source"] is not None or (on_gpu and part == "gpu")


def _memory(energy: Mapping[str, Any], memory_bytes: int) -> Iterator[str]:
    """Check the memory's power: CodeCarbon's model gives a constant, which only outside settings can change."""
    ram = energy["ram"]
    if ram["source"] != "ram_model" or ram["energy_j"] is None:
        return
    found_w, models_w = ram["energy_j"] / energy["window_s"], ram_model_w(memory_bytes)
    allowed = _TOLERANCE + _CLOCKS_APART_S / energy["window_s"]
    if all(abs(found_w / watts - 1) > allowed for watts in models_w):
        yield (
            f"has {found_w:.3g} W for the memory, CodeCarbon's model gives {models_w[-1]:.3g} W: "
            "outside settings (pue, force_ram_power) changed it"
        )


def _idle(record: Mapping[str, Any]) -> Iterator[str]:
    """Check that idle power covers the same parts as the windows it is subtracted from."""
    idle = record.get("idle")
    if not idle or idle["total_w"] is None:
        return
    for repeat in record["repeats"]:
        for part in PARTS:
            if (idle["parts_w"][part] is None) != (repeat["energy"][part]["energy_j"] is None):
                yield f"its idle power and its windows cover different parts ({part.upper()})"


def check_energy(energy: dict[str, Any]) -> None:
    """Check that every energy is above 0, or null with a reason.

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
