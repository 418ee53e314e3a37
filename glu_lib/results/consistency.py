"""Checks that the figures of an energy record agree: rates and windows, means and repeats, sources, net and gross."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from glu_lib.results.energy import PARTS, Quality, resolution_s
from glu_lib.results.repeats import summarize

_ROUNDING = 1e-6  # relative; records hold unrounded figures
_MEASURED = frozenset({"nvml", "amdsmi", "rapl", "powermetrics", "windows_emi", "power_gadget"})


def inconsistencies(record: Mapping[str, Any]) -> Iterator[str]:
    """Contradictions between the figures of an energy record, one line each.

    Raises:
        KeyError, TypeError: if the record is not complete.
    """
    name = record["case"]["id"]
    for repeat in record["repeats"]:
        place = f"{name}, seed {repeat['seed']}"
        yield from _window(place, repeat, repeat["passes"] * repeat["rows"])
        natural = repeat["natural"]
        yield from _window(f"{place}, natural length", natural, natural["passes"] * len(natural["row_tokens"]))
        first_s = repeat["time_to_first_token_ms"] / 1000
        if first_s > repeat["energy"]["window_s"]:
            yield f"{place}: {first_s:.3g} s to the first token in a window of {repeat['energy']['window_s']:.3g} s"
    for figure, summary in record["profile"].items():
        mean = summarize([repeat[figure] for repeat in record["repeats"]])["mean"]
        if not _same(summary["mean"], mean):
            yield f"{name}: mean {figure} is {summary['mean']}, its repeats give {mean}"


def _window(place: str, found: Mapping[str, Any], responses: int) -> Iterator[str]:
    energy, tokens = found["energy"], found["new_tokens"]
    total_j = energy["total_j"]
    derived = {
        "tokens_per_s": tokens / energy["window_s"],
        "energy_per_token_j": None if total_j is None else total_j / tokens,
        "energy_per_response_j": None if total_j is None else total_j / responses,
    }
    for figure, value in derived.items():
        if not _same(found[figure], value):
            yield f"{place}: {figure} is {found[figure]}, its window gives {value}"
    gross, net = found["energy_per_token_j"], found["net_energy_per_token_j"]
    if gross is not None and net is not None and net > gross:
        yield f"{place}: net energy {net:.4g} J per token is above gross, {gross:.4g} J"
    has_parts = any(energy[part]["energy_j"] is not None for part in PARTS)
    if total_j is None and has_parts and not energy.get("total_reason"):
        yield f"{place}: its parts have energies, its total is null"
    yield from _sources(place, energy)


def _sources(place: str, energy: Mapping[str, Any]) -> Iterator[str]:
    """Check that each quality fits its source, and that a window shorter than a counter's step is marked."""
    sources = [energy[part]["source"] for part in PARTS if energy[part]["source"] is not None]
    for part in PARTS:
        source, quality = energy[part]["source"], energy[part]["quality"]
        if source is not None and quality != (Quality.MEASURED if source in _MEASURED else Quality.ESTIMATED):
            yield f"{place}: {part} energy of {source} is called {quality}"
    if sources and energy["window_s"] < max(map(resolution_s, sources)) and not energy["is_short"]:
        yield f"{place}: a window of {energy['window_s']:.3g} s is shorter than its counters' step, is_short is false"


def _same(recorded: float | None, derived: float | None) -> bool:
    if recorded is None or derived is None:
        return recorded is derived
    return math.isclose(recorded, derived, rel_tol=_ROUNDING)
