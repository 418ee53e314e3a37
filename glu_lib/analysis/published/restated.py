"""The published energy tables restated: CO2e converted to joules, the measured part apart, the defects of each row."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from glu_lib.analysis.published.comparison import MODEL_KEYS
from glu_lib.analysis.published.energy_tables import energy_rows
from glu_lib.errors import RecordError
from glu_lib.results.energy import JOULES_PER_KWH

_INTENSITY_TABLE = "energy_1b"
ENERGY_TABLES = (_INTENSITY_TABLE, "energy_3b")
_SAME = 1e-3  # largest relative spread of the ratio over the rows; with a single intensity it is about 1e-6


class Defect(StrEnum):
    """Defects of a published row, see glu_lib/analysis/published/README.md."""

    CARBON = "printed as kWh, but kg CO2e: divided by the carbon intensity here"
    ASSUMED_INTENSITY = "carbon intensity taken over from the 1B table: an assumption"
    ESTIMATED_PARTS = "CPU energy is estimated from TDP, RAM energy is a constant: only the GPU was measured"
    WINDOW = "the window includes loading and warm-up, the token count does not: too many joules per token"
    PADDING = "the token count includes padding after the end of the text: too few joules per token"


@dataclass(frozen=True, slots=True)
class RestatedEnergy:
    """Energy per token of one (model, level, workload, seed) of the published study.

    published_energy_per_token_j: as printed, net of idle: published_net·3.6e6 / tokens.
    net_energy_per_token_j: net of idle, CO2e converted back to energy: published_net / intensity·3.6e6 / tokens.
    energy_per_token_j: gross: published_raw / intensity·3.6e6 / tokens.
    gpu_energy_per_token_j: gross, of the GPU, the only measured part; None if it was not published.
    carbon_intensity_kg_per_kwh: carbon intensity of the grid, computed from the tables.
    """

    model: str
    percent: int
    workload: str
    seed: int
    tokens: int
    window_s: float
    published_energy_per_token_j: float
    net_energy_per_token_j: float
    energy_per_token_j: float
    gpu_energy_per_token_j: float | None
    carbon_intensity_kg_per_kwh: float
    is_intensity_assumed: bool
    defects: tuple[Defect, ...]


def carbon_intensity(table: str = _INTENSITY_TABLE) -> float:
    """Carbon intensity of a published table in kg CO2e per kWh: the median of published_raw / codecarbon_total_kwh.

    Raises:
        RecordError: if the table lacks one of the columns, or its rows give different values.
    """
    ratios: list[float] = [
        row["published_raw"] / row["codecarbon_total_kwh"]
        for row in energy_rows(table)
        if row.get("codecarbon_total_kwh")
    ]
    if not ratios or max(ratios) - min(ratios) > _SAME * min(ratios):
        raise RecordError(f"{table}: its rows give no single carbon intensity; use {_INTENSITY_TABLE}")
    return statistics.median(ratios)


def energy_restated(table: str) -> list[RestatedEnergy]:
    """Rows of `energy_1b` or `energy_3b` restated.

    The 3B table has no CodeCarbon energies. Its carbon intensity is assumed to equal that of the 1B table, and each of
    its rows is marked. Two facts support the assumption. 3B's figures cannot be kWh either: their mean power would be
    below the roughly 62 W estimated for CPU and RAM alone. And the restated figures are within the machine's power.
    """
    intensity = carbon_intensity()
    return [_restated(row, intensity) for row in energy_rows(table)]


def _restated(row: dict[str, Any], intensity: float) -> RestatedEnergy:
    tokens, gpu_kwh = row["new_tokens"], row.get("codecarbon_gpu_kwh")
    is_assumed = row.get("codecarbon_total_kwh") is None
    joules = JOULES_PER_KWH / tokens
    return RestatedEnergy(
        model=MODEL_KEYS[row["model"]],
        percent=row["pruning_pct"],
        workload=row["workload"],
        seed=row["seed"],
        tokens=tokens,
        window_s=row["window_s"],
        published_energy_per_token_j=row["published_joules_per_token"],
        net_energy_per_token_j=row["published_net"] / intensity * joules,
        energy_per_token_j=row["published_raw"] / intensity * joules,
        gpu_energy_per_token_j=None if gpu_kwh is None else gpu_kwh * joules,
        carbon_intensity_kg_per_kwh=intensity,
        is_intensity_assumed=is_assumed,
        defects=tuple(_defects(is_assumed, row["batch_size"] > 1)),
    )


def _defects(is_assumed: bool, is_batched: bool) -> list[Defect]:
    """Defects of a row; only batched answers are padded."""
    found = [Defect.CARBON, Defect.ESTIMATED_PARTS, Defect.WINDOW]
    found += [Defect.ASSUMED_INTENSITY] if is_assumed else []
    return found + ([Defect.PADDING] if is_batched else [])
