"""What two runs of the same cases must have in common."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any


def results(folder: Path) -> dict[str, Any]:
    """Records and samples by name, without time, energy, the state of the machine, and a checksum over all of it."""
    found: dict[str, Any] = {}
    for path in folder.glob("individual_files/*/*/*.json"):
        record = json.loads(path.read_text())
        for name in ("timing", "energy", "conditions", "memory", "scoring_memory", "sha256"):
            record.pop(name, None)
        record["pruning"].pop("prune_s")
        found[path.name] = record
    return found | {path.name: gzip.decompress(path.read_bytes()) for path in folder.glob("samples/*/*/*.jsonl.gz")}
