"""A results folder of nano and a checkpoint that names it as its baseline, with the widths of p40."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made_records import merged
from two_models import two_models

P40 = {"width": 308, "expansion_ratio": 308 / 128, "parameters": 741504}


def with_recovered(
    root: Path,
    tasks: Sequence[str],
    levels: Sequence[str],
    *,
    scores: str,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """`levels` of nano, and the checkpoint `small` of p40's widths, with the answers of nano's level `scores`."""
    own = {"case": {"baseline": "nano", "baseline_level": "p40"}, "pruning": P40}
    return two_models(root, tasks, levels, small=scores, changes=merged(own, changes or {}))
