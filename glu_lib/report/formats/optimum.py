"""Exports energy records in the layout of optimum-benchmark's `benchmark.json`, for its tools and plots.

Layout: https://github.com/huggingface/optimum-benchmark. A report has targets; each target has memory, latency,
throughput, energy and efficiency with their units. Joules are converted to kilowatt hours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glu_lib.analysis.energy_score import ALL_PARTS, GPU_ONLY, energy_scores
from glu_lib.report.formats.exporting import export_each
from glu_lib.results.energy import JOULES_PER_KWH
from glu_lib.results.records import EnergyRecord, EnergyWindow, Repeat
from glu_lib.results.records.case import Peak

OPTIMUM_FOLDER = "optimum_benchmark"
_MS_PER_S = 1000.0
_BYTES_PER_MB = 1e6


def export_records(records: Iterable[EnergyRecord], folder: Path) -> tuple[list[Path], list[str]]:
    """Write `<folder>/<case>/benchmark.json` for each energy record (`<case>-limit<N>` for a limited run).

    Returns:
        The paths, and one message per record that cannot be exported.

    Raises:
        RecordError: if the folder cannot be written.
    """
    return export_each(records, folder, "/benchmark.json", benchmark)


def benchmark(record: EnergyRecord) -> dict[str, Any]:
    """`config` and `report` of one energy record.

    The targets of the report are `prefill`, `per_token`, and `generate` (all tokens of one batch).
    """
    repeats, key = record.repeats, record.done_key
    batches_s = [
        repeat.energy.window_s / (repeat.passes * math.ceil(repeat.rows / key.batch_size)) for repeat in repeats
    ]
    return {
        "config": {
            "name": record.case.id,
            "backend": {"name": "pytorch", "model": key.model, "task": "text-generation"},
            "scenario": {
                "name": "inference",
                "input_shapes": {"batch_size": key.batch_size},
                "prompts_limit": key.limit,
                "generate_kwargs": {"max_new_tokens": key.new_tokens, "min_new_tokens": key.new_tokens},
            },
            "environment": record.environment.as_json(),
            "glu_pruning": record.pruning.as_json(),
        },
        "report": {
            "prefill": {"latency": _latency([repeat.time_to_first_token_ms for repeat in repeats])},
            "per_token": {"latency": _latency([repeat.time_per_output_token_ms for repeat in repeats])},
            "generate": {
                "memory": _memory(record.generation_memory),
                "latency": _latency([seconds * _MS_PER_S for seconds in batches_s]),
                "throughput": {"unit": "tokens/s", "value": record.profile.tokens_per_s.mean},
                "energy": _energy([repeat.energy for repeat in repeats]),
                "efficiency": _efficiency(repeats),
                "ai_energy_score": _energy_score(record),
            },
        },
    }


def _latency(values_ms: Sequence[float | None]) -> dict[str, Any] | None:
    """Summary in seconds; one value per repeat."""
    values = [value / _MS_PER_S for value in values_ms if value is not None]
    if not values:
        return None
    return {
        "unit": "s",
        "count": len(values),
        "total": sum(values),
        "mean": float(np.mean(values)),
        "stdev": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        **{f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 90, 95, 99)},
        "values": values,
    }


def _memory(peak: Peak) -> dict[str, Any]:
    megabytes = None if peak.peak_bytes is None else peak.peak_bytes / _BYTES_PER_MB
    is_gpu = peak.source == "cuda allocator"
    return {"unit": "MB", "max_ram": None if is_gpu else megabytes, "max_allocated": megabytes if is_gpu else None}


def _energy(windows: Sequence[EnergyWindow]) -> dict[str, Any]:
    """Kilowatt hours summed over all windows; None for a part that one of the windows lacks."""
    parts = {name: _total_kwh([window.parts_j[name] for window in windows]) for name in ("cpu", "ram", "gpu")}
    return {"unit": "kWh", **parts, "total": _total_kwh([window.total_j for window in windows])}


def _total_kwh(values_j: Sequence[float | None]) -> float | None:
    known = [value for value in values_j if value is not None]
    return sum(known) / JOULES_PER_KWH if len(known) == len(values_j) else None


def _efficiency(repeats: Sequence[Repeat]) -> dict[str, Any]:
    total_kwh = _total_kwh([repeat.energy.total_j for repeat in repeats])
    tokens = sum(repeat.new_tokens for repeat in repeats)
    return {"unit": "tokens/kWh", "value": tokens / total_kwh if total_kwh else None}


def _energy_score(record: EnergyRecord) -> dict[str, Any]:
    """AI Energy Score's unit, in a field of the suite's own: optimum-benchmark itself has none."""
    found = dict(energy_scores(record))
    return {"unit": "Wh/1000 queries", "gpu": found[GPU_ONLY]["mean"], "total": found[ALL_PARTS]["mean"]}
