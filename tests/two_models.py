"""A results folder of two models: the embedded one's records, and one level of them as a second, unpruned model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made_records import merged

NANO = Path(__file__).resolve().parent.parent / "results/measured/nano"
_UNPRUNED = {"percent": 0, "method": None, "divisor": None}


def two_models(
    root: Path, tasks: Sequence[str], levels: Sequence[str], *, small: str, changes: Mapping[str, Any] | None = None
) -> Path:
    """`levels` of nano, and its level `small` as p0 of the model `small`, with `changes` merged into its records."""
    for task in tasks:
        for level in levels:
            _copy(root, f"nano/{level}/nano-{level}-{task}", f"nano/{level}/nano-{level}-{task}", {})
        mine = {
            "case": {"id": f"small-p0-{task}", "model": "small", "level": "p0", **_UNPRUNED},
            "done_key": {"model": "small", "model version": "sha256:0", **_UNPRUNED},
            "pruning": _UNPRUNED,
            "samples": {"file": f"samples/small/p0/small-p0-{task}.jsonl.gz"},
        }
        _copy(root, f"nano/{small}/nano-{small}-{task}", f"small/p0/small-p0-{task}", merged(mine, changes or {}))
    return root


def _copy(root: Path, source: str, name: str, changes: Mapping[str, Any]) -> None:
    for folder in ("individual_files", "samples"):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(NANO / f"samples/{source}.jsonl.gz", root / f"samples/{name}.jsonl.gz")
    record = json.loads((NANO / f"individual_files/{source}.json").read_text(encoding="utf-8"))
    del record["sha256"]
    (root / f"individual_files/{name}.json").write_text(json.dumps(merged(record, changes)), encoding="utf-8")
