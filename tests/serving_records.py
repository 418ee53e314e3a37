"""Records of serving at saturation for tests: a committed workload's record, its batches made from given figures."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from made_records import record_values

from glu_lib.results.records import Record, parse_record
from glu_lib.results.repeats import summarize

WINDOW_S, JOULES = 2.0, 40.0


def serving_values(
    percent: int, speeds: Mapping[int, Sequence[int]], stop: tuple[str, int] | None = None
) -> dict[str, Any]:
    """JSON values of a record at `percent`; `speeds` are tokens/s of each repeat, by batch size."""
    found = record_values(
        {"case": {"percent": percent, "level": f"p{percent}"}, "done_key": {"percent": percent}}, "energy"
    )
    key = found["done_key"]
    key |= {
        "kind": "serving",
        "workload": "serving_saturation",
        "prompts": 512,
        "batch size": 512,
        "least gain": 0.05,
        "new tokens": 1,
    }
    case = {"id": f"quarter-p{percent}-serving_saturation", "subject": "serving_saturation", "suites": ["serving"]}
    for part in (found["case"], found["pruning"], key):
        part["method"] = "PPM" if percent else None
    found["pruning"] |= {"percent": percent, "expansion_ratio": 4.0 * (1 - percent / 100)}
    repeat = found.pop("repeats")[0]
    for name in ("profile", "generation_memory"):
        del found[name]
    batches = [_batch(repeat, size, values) for size, values in speeds.items()]
    sizes = list(speeds)
    reason, size = stop or ("largest", sizes[-1])
    means = [batch["profile"]["tokens_per_s"]["mean"] for batch in batches if batch["batch_size"] <= size]
    is_measured = size in speeds and len(means) > 1
    return found | {
        "kind": "serving",
        "case": found["case"] | case,
        "batches": batches,
        "stop": {"reason": reason, "batch_size": size, "gain": means[-1] / means[-2] - 1 if is_measured else None},
        "runtime": {"threads": 1},
    }


def serving_record(percent: int, speeds: Mapping[int, Sequence[int]], stop: tuple[str, int] | None = None) -> Record:
    """The record of `serving_values`."""
    return parse_record(serving_values(percent, speeds, stop))


def _batch(template: dict[str, Any], size: int, speeds: Sequence[int]) -> dict[str, Any]:
    repeats = [_repeat(template, size, speed, seed) for seed, speed in enumerate(speeds)]
    names = [name for name, value in repeats[0].items() if name.endswith(("_ms", "_j", "_per_s"))]
    return {
        "batch_size": size,
        "repeats": repeats,
        "profile": {name: summarize([repeat[name] for repeat in repeats]) for name in names},
        "generation_memory": {"source": "resident set", "before_bytes": 10, "peak_bytes": 10 + size, "reason": None},
    }


def _repeat(template: dict[str, Any], size: int, speed: int, seed: int) -> dict[str, Any]:
    found = copy.deepcopy(template)
    del found["natural"]
    tokens = int(speed * WINDOW_S)
    energy = found["energy"]
    energy["cpu"]["energy_j"] = energy["ram"]["energy_j"] = JOULES / 2
    energy |= {"window_s": WINDOW_S, "total_j": JOULES}
    passes = tokens // size
    assert passes * size == tokens, "the tokens of a window are whole passes over the batch, one token for each prompt"
    return found | {
        "seed": seed,
        "passes": passes,
        "rows": size,
        "new_tokens": tokens,
        "tokens_per_s": tokens / WINDOW_S,
        "energy_per_token_j": JOULES / tokens,
        "net_energy_per_token_j": JOULES / 4 / tokens,
        "energy_per_response_j": JOULES / tokens,
        "energy": energy,
    }
