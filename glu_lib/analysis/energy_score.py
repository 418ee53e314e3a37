"""Watt-hours per 1000 queries of a workload, the unit of AI Energy Score, from its repeats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from glu_lib.results.records import EnergyRecord
from glu_lib.results.repeats import summarize

QUERIES = 1000
JOULES_PER_WH = 3600.0
ALL_PARTS, GPU_ONLY = "energy_per_1000_queries_wh", "gpu_energy_per_1000_queries_wh"


def energy_scores(record: EnergyRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """Both figures with their summaries over the repeats (`summarize`), in watt-hours per 1000 queries.

    joules of the window / responses of the window · 1000 / 3600. A query is one prompt with its answer of the
    workload's fixed length. `ALL_PARTS` counts GPU, processor and memory; `GPU_ONLY` the GPU alone, which is what AI
    Energy Score counts (https://huggingface.github.io/AIEnergyScore, "Evaluating Models"). A figure is null if a repeat
    lacks its joules. AI Energy Score's own protocol has other hardware (H100), prompts and batches (1): see
    `docs/methods/energy.md`.
    """
    responses = [repeat.passes * repeat.rows for repeat in record.repeats]
    for name, joules in (
        (ALL_PARTS, [repeat.energy.total_j for repeat in record.repeats]),
        (GPU_ONLY, [repeat.energy.gpu.energy_j for repeat in record.repeats]),
    ):
        yield name, summarize([_wh(*found) for found in zip(joules, responses, strict=True)])


def _wh(joules: float | None, responses: int) -> float | None:
    return None if joules is None else joules / responses * QUERIES / JOULES_PER_WH
