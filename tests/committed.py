"""Conclusions of the committed records: seconds of resampling, so once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from glu_lib.analysis import conclude
from glu_lib.analysis.conclusions import Conclusions

MEASURED = Path(__file__).resolve().parents[1] / "results/measured"


@lru_cache
def concluded(name: str) -> Conclusions:
    """What `results/measured/<name>` says."""
    return conclude(MEASURED / name)
