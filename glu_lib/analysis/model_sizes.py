"""All models of a folder over size: each level's score with its parameters, bytes of weights and joules per token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from glu_lib.analysis.level_series import family_of
from glu_lib.analysis.size_pairs import by_items
from glu_lib.analysis.table import Row, row_level


@dataclass(frozen=True, slots=True)
class SizedScore:
    """A headline row with the joules per token of its level; None without the workload's record."""

    row: Row
    energy_per_token_j: float | None


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The scores of all models on the same items of one task, by model and descending size.

    `workload` names the workload and device that all joules are of; empty without any.
    """

    task: str
    limit: int | None
    subset: str | None
    workload: str
    scores: tuple[SizedScore, ...]


def model_sizes(rows: Sequence[Row]) -> list[ModelSizes]:
    """One table for each task, limit and subset that two models share; controls and random selection are left out."""
    workload, energies = _joules(rows)
    return [
        ModelSizes(
            task, limit, subset, workload, tuple(SizedScore(row, energies.get(_level(row))) for row in _ordered(mine))
        )
        for (task, limit, subset), mine in by_items(rows).items()
    ]


def _ordered(rows: Sequence[Row]) -> list[Row]:
    models = {model: place for place, model in enumerate(dict.fromkeys(row["model"] for row in rows))}
    return sorted(rows, key=lambda row: (models[row["model"]], -row["parameters"]))


def _joules(rows: Iterable[Row]) -> tuple[str, dict[tuple[object, ...], float]]:
    """Joules per token by level, of the workload that most levels of at least two models have on one device.

    Joules of other devices, parts or sources, workloads and prompt limits are not comparable.
    """
    found: dict[tuple[object, ...], dict[tuple[object, ...], float]] = {}
    for row in rows:
        is_energy = row["kind"] == "energy" and row["metric"] == "energy_per_token_j" and row["weights"] != "random"
        if is_energy and row["value"] is not None:
            place = (row["subject"], row["device"], row.get("parts"), row["limit"])
            found.setdefault(place, {})[_level(row)] = row["value"]
    shared = {place: values for place, values in found.items() if len({model for model, *_ in values}) > 1}
    if not shared:
        return "", {}
    (subject, device, *_), values = max(shared.items(), key=lambda item: len(item[1]))
    return f"{subject} on {device}", values


def _level(row: Row) -> tuple[object, ...]:
    family = family_of(row)
    return row["model"], row_level(row), family.method, family.divisor, family.layers
