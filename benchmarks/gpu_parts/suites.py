"""The energy workloads and the alignment suite: runs of pytest with random weights, and their records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER, RECORDS
from glu_lib.results.writing import write_atomically
from glu_lib.study import STUDY
from glu_lib.study.architecture import Architecture
from gpu_parts.networks import architecture
from gpu_parts.plan import MODELS, Part, Unit
from gpu_parts.setup import Setup

_MARKS = {Part.ENERGY: "carbon", Part.ALIGNMENT: "alignment"}
# Prompts per workload, seconds of a window, and of the resting machine: a piece of nine minutes holds a model. The
# published study's 30 and 100 prompts per workload take several times as long.
_PROMPTS, _WINDOW_S, _IDLE_S = 8, 5.0, 10.0
_TINY_PROMPTS, _TINY_WINDOW_S, _TINY_IDLE_S = 2, 0.05, 0.2
_LEVELS = {Part.ENERGY: "p0 or p40", Part.ALIGNMENT: "p0 or p40 or p60"}
_TINY_LEVELS = "p0 or p40"
_SHAPE_FIELDS = (
    *("hidden_size", "intermediate_size", "num_layers", "num_heads", "num_kv_heads", "head_dim", "vocab_size"),
    *("max_positions", "rope_theta"),
)


def folder(setup: Setup, part: Part) -> Path:
    """The results folder of a suite."""
    return setup.output / part


def command(setup: Setup, unit: Unit) -> list[str]:
    """Pytest's command line for the unit: a part of a suite on one model.

    Other processes on the machine are allowed and recorded: inside a container the driver names processes by other
    numbers than the container does, so that the suite would take its own for another one.
    """
    prompts, window_s, idle_s = (
        (_TINY_PROMPTS, _TINY_WINDOW_S, _TINY_IDLE_S) if setup.is_tiny else (_PROMPTS, _WINDOW_S, _IDLE_S)
    )
    results, levels = folder(setup, unit.part), _TINY_LEVELS if setup.is_tiny else _LEVELS[unit.part]
    options = {
        "weights": "random",
        "results-dir": results,
        "limit": prompts,
        "min-window": window_s,
        "idle-seconds": idle_s,
        "device": setup.device,
        "dtype": setup.environment.dtype,
        **({} if setup.on_gpu else {"threads": 1}),
        **({"study": _tiny_study(setup)} if setup.is_tiny else {}),
    }
    found = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        _MARKS[unit.part],
        "-k",
        f"{unit.model} and ({levels})",
    ]
    # pytest-benchmark would time a pass for each seed once more.
    found += ["--allow-shared", "--benchmark-disable", "-o", f"cache_dir={results / '.pytest_cache'}"]
    return [*found, *(f"--{name}={value}" for name, value in options.items())]


def records(setup: Setup, part: Part) -> Iterator[dict[str, Any]]:
    """The records of a suite, by model, level and workload."""
    place = folder(setup, part) / RANDOM_WEIGHTS_FOLDER / RECORDS
    for path in sorted(place.glob("*/*/*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def measured(setup: Setup, unit: Unit) -> dict[str, Any]:
    """What the record of a finished run says: where its own records are, how many, and whether NVML measured them."""
    found = [record for record in records(setup, unit.part) if record["case"]["model"] == unit.model]
    gpu = [repeat["energy"]["gpu"] for record in found for repeat in record["repeats"]]
    return {
        "records": str((folder(setup, unit.part) / RANDOM_WEIGHTS_FOLDER).relative_to(setup.output)),
        "cases": len(found),
        "gpu_energy_sources": sorted({part["source"] or "not measured" for part in gpu}),
        "exclusive": sum(all(repeat["conditions"]["exclusive"] for repeat in record["repeats"]) for record in found),
    }


def _tiny_study(setup: Setup) -> Path:
    """A study file in which the models are tiny and the workloads short, with one repeat."""
    lines = []
    for key in MODELS:
        lines += _model(key, architecture(key, is_tiny=True))
    for name in dict.fromkeys((*STUDY.suites["carbon"].workloads, *STUDY.suites["alignment"].workloads)):
        workload = STUDY.workloads[name]
        lines += [f"[workloads.{name}]", "num_prompts = 2", f"new_tokens = {min(4, workload.new_tokens)}"]
        lines += ["seeds = [42, 123]", f"prompt_tokens = {min(64, workload.prompt_tokens)}", ""]
    path = setup.output / "tiny_study.toml"
    write_atomically(path, "\n".join(lines).encode())
    return path


def _model(key: str, shape: Architecture) -> list[str]:
    fields = [f"{name} = {getattr(shape, name)}" for name in _SHAPE_FIELDS]
    return [
        f"[models.{key}]",
        'source = "shape-only"',
        'kind = "base"',
        "levels = [0, 40, 60]",
        'suites = ["carbon", "alignment"]',
        "",
        f"[models.{key}.architecture]",
        *fields,
        f"tied_embeddings = {str(shape.tied_embeddings).lower()}",
        "",
    ]
