"""Estimates what a large sweep costs: GPU hours and storage, from counted tokens and the bytes that records take.

    python benchmarks/sweep_cost.py --models 1000 --levels 7 --tasks 30

Nothing is measured here. Inputs: `results/measured/scoring/tokens.json` (tokens that nine complete tasks forward per
level) and `results/measured/storage.json` (bytes per item). Prints the tables of docs/guides/scale.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).resolve().parents[1] / "results/measured"
SHAPES = {"1B": 0.97e9, "3B": 2.8e9}  # parameters without embeddings: Llama-3.2-1B and -3B
PEAK_FLOPS = {"T4": 65e12, "L4": 121e12, "A100": 312e12}  # 16 bits with tensor cores, NVIDIA's data sheets
UTILIZATION = 0.35  # assumed share of the peak rate
LOADING_S = 20.0  # assumed: loading, pruning and checking a level
ITEMS_WHOLE = {"leaderboard_musr": 756 / 30}  # tokens were counted on 30 of its 756 questions
ITEMS = {  # of the complete evaluation splits of the nine counted tasks, as lm-eval reads them
    "lambada_openai": 5153,
    "boolq": 3270,
    "piqa": 1838,
    "winogrande": 1267,
    "arc_challenge": 1172,
    "hellaswag": 10042,
    "truthfulqa_mc2": 817,
    "leaderboard_musr": 756,
    "mmlu": 14042,
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--levels", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=30)
    options = parser.parse_args()
    print("\n".join([*hours_table(options.models, options.levels, options.tasks), ""]))
    print("\n".join(storage_table(options.models, options.levels, options.tasks)))


def hours_table(models: int, levels: int, tasks: int) -> list[str]:
    """GPU hours by model size and GPU, as lines of a Markdown table."""
    counted = _measured("scoring/tokens.json")["tasks"]
    tokens = sum(found["planned"] * ITEMS_WHOLE.get(found["task"], 1.0) for found in counted)
    per_level = tokens * tasks / len(counted)
    lines = [f"| estimate | {' | '.join(PEAK_FLOPS)} |", "|---|" + "---|" * len(PEAK_FLOPS)]
    for name, parameters in SHAPES.items():
        hours = [
            models * levels * (2 * parameters * per_level / (peak * UTILIZATION) + LOADING_S) / 3600
            for peak in PEAK_FLOPS.values()
        ]
        lines.append(f"| {models:,} models of {name} | {' | '.join(f'{_two_digits(value)} h' for value in hours)} |")
    return lines


def storage_table(models: int, levels: int, tasks: int) -> list[str]:
    """Bytes of records, samples and lm-eval's files, as lines of a Markdown table."""
    found = _measured("storage.json")
    counted = len(_measured("scoring/tokens.json")["tasks"])
    cases = models * levels * tasks
    items = models * levels * sum(ITEMS.values()) * tasks / counted
    parts = {
        "records": cases * found["records"]["bytes"] / found["records"]["files"],
        "samples": items * found["samples"]["bytes"] / found["samples"]["items"],
        "lm-eval's files": items * found["lm_eval"]["bytes"] / found["lm_eval"]["items"],
    }
    return ["| estimate | size |", "|---|---|", *(f"| {name} | {_size(size)} |" for name, size in parts.items())]


def _measured(name: str) -> Any:
    return json.loads((MEASURED / name).read_text(encoding="utf-8"))


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"


def _size(value: float) -> str:
    unit, scale = ("TB", 1e12) if value >= 1e12 else ("GB", 1e9)
    return f"{float(f'{value / scale:.2g}'):g} {unit}"


if __name__ == "__main__":
    main()
