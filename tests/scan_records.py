"""Made-up records of layer scans, in which one layer or some are harmful."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made_records import record_values

from glu_lib.analysis.scans import Scan
from glu_lib.analysis.scans import scans as scans_of_records
from glu_lib.results.records import LayersRecord
from glu_lib.study.layers import as_ranges

UNPRUNED = math.log(10.0)  # nats per token: a perplexity of 10
HARM = {0: math.log(6.2), 4: math.log(1.5)}  # of PPM, by layer; all others do no harm


def scan_record(
    method: str = "PPM",
    *,
    model: str = "llama1b",
    source: str = "meta-llama/Llama-3.2-1B",
    layers: int = 16,
    percent: int = 10,
    harms: Mapping[int, float] = HARM,
    spared: Sequence[int] = (0,),
    limit: int | None = None,
    **key: Any,
) -> dict[str, Any]:
    """A record as a run writes it; harms, in nats, do not quite add up (all pruned: 0.3 more)."""
    level = f"p{percent}" if method == "PPM" else f"p{percent}-{method}"
    alone = [UNPRUNED + harms.get(layer, 0.001) for layer in range(layers)]
    predicted = UNPRUNED + sum(value - UNPRUNED for value in alone)
    pruned = predicted + 0.3
    steps = [{"spared": [], "predicted": predicted, "measured": pruned}]
    if spared:
        left = sum(harms.get(layer, 0.001) for layer in range(layers) if layer not in spared)
        steps.append({"spared": list(spared), "predicted": UNPRUNED + left, "measured": UNPRUNED + left})
    seed = {"selection seed": int(method[-1])} if method.startswith("random") else {}
    made = {
        "kind": "layers",
        "case": {
            "id": f"{model}-{level}-layer_scan",
            "model": model,
            "percent": percent,
            "level": level,
            "method": method,
            "divisor": None,
            "subject": "layer_scan",
            "suites": ["layers"],
        },
        "done_key": {
            "schema": 1,
            "kind": "layers",
            "model": source,
            "model version": "main",
            "percent": percent,
            "method": method.rstrip("123"),
            "divisor": None,
            "dtype": "float32",
            "limit": limit,
            "text": "held_out.txt, sha256 0123",
            **seed,
            **key,
        },
        "pruning": {
            "width": 90,
            "widths": [90] * layers,
            "expansion_ratio": 3.6,
            "parameters": 1000,
            "layers": None,
            "removed": {
                "layers": list(range(layers)),
                "score_share": [None if seed else 0.08] * layers,
                "down_norm_share": [0.09] * layers,
                "activation_share": [0.71 if layer in harms else 0.05 for layer in range(layers)],
                "largest_activation": [300.0 if layer in harms else 2.0 for layer in range(layers)],
                "largest_of_all": [300.0 if layer in harms else 12.0 for layer in range(layers)],
            },
        },
        "timing": {"started_at": "2026-01-01T00:00:00+00:00", "load_s": 1.0, "duration_s": 9.0},
        "scan": {
            "text": "held_out.txt, sha256 0123",
            "rows": 4 if limit is None else limit,
            "row_tokens": 512,
            "targets": 2044,
            "unpruned": UNPRUNED,
            "pruned": pruned,
            "alone": alone,
            "all_but": [pruned - harms.get(layer, 0.0) for layer in range(layers)],
            "steps": steps,
            "spared": list(spared),
            "recommended": as_ranges(set(range(layers)) - set(spared)) if spared else "all",
            "reuses_beginnings": True,
            "layers_run": 120,
            "layers_whole": 480,
            "scan_s": 8.0,
        },
        "environment": {"dtype": "float32", "gpu": None, "cpu": "some cpu", "git_commit": None, "versions": {}},
    }
    return record_values(made, "layers")


def random_records(**changes: Any) -> list[dict[str, Any]]:
    """Three scans of random neurons, whose layer 0 multiplies the perplexity by 1.0, 1.1 and 1.21."""
    return [
        scan_record(f"random{seed}", harms={0: (seed - 1) * math.log(1.1)}, spared=(), **changes) for seed in (1, 2, 3)
    ]


def scans(records: Sequence[Mapping[str, Any]]) -> list[Scan]:
    """The scans of made-up records."""
    return scans_of_records(map(LayersRecord.model_validate, records))


def write_records(root: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write records where a run would; returns the results folder."""
    for record in records:
        case, limit = record["case"], record["done_key"]["limit"]
        folder = root / "individual_files" / "models" / case["level"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{case['id']}{f'-limit{limit}' if limit else ''}.json").write_text(json.dumps(record))
    return root
