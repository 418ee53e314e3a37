"""The published energy tables as claims, so that the suite's plausibility checks can run on them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glu_lib.results.energy import JOULES_PER_KWH
from glu_lib.results.plausibility import WindowClaim, implausible, padded

PUBLISHED_DIR = Path(__file__).resolve().parent
_SINGLE, _BATCHED = "_latency_b1", "_throughput_b8"


def energy_rows(table: str) -> list[dict[str, Any]]:
    """Rows of `energy_1b` or `energy_3b`, with numbers converted and empty cells as None."""
    with (PUBLISHED_DIR / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def energy_claims(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[object, ...], WindowClaim]:
    """The claims of the rows, taken at their word: `published_raw` as kWh, `new_tokens` as generated tokens.

    Keys are (model, percentage, seed, workload).
    """
    claims = {}
    for row in rows:
        key = tuple(row[name] for name in ("model", "pruning_pct", "seed", "workload"))
        parts = {name: row.get(f"codecarbon_{name}_kwh") for name in ("gpu", "cpu")}
        total_kwh = row.get("codecarbon_total_kwh")
        if total_kwh is not None:
            parts["ram"] = total_kwh - sum(value for value in parts.values() if value is not None)
        claims[key] = WindowClaim(
            name="-".join(map(str, key)),
            window_s=row["window_s"],
            total_j=row["published_raw"] * JOULES_PER_KWH,
            parts_j={name: value * JOULES_PER_KWH for name, value in parts.items() if value is not None},
            rows=row.get("measured_prompts"),
            tokens=row["new_tokens"],
            max_new_tokens=row.get("max_new_tokens"),
        )
    return claims


def energy_defects(table: str) -> list[str]:
    """Findings of the plausibility checks on a published energy table, one line each."""
    claims = energy_claims(energy_rows(table))
    pairs = {
        key: (claims[(*key[:-1], str(key[-1]).replace(_BATCHED, _SINGLE))], claim)
        for key, claim in claims.items()
        if str(key[-1]).endswith(_BATCHED)
    }
    return [*(line for claim in claims.values() for line in implausible(claim)), *padded(pairs)]


def _value(text: str) -> str | float | int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
