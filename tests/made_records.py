"""Records for tests: committed ones with some fields changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from glu_lib.results.records import Record, parse_record

_MEASURED = Path(__file__).resolve().parents[1] / "results/measured"
_TEMPLATES = {
    "accuracy": _MEASURED / "nano/individual_files/nano/p40/nano-p40-facts.json",
    "energy": _MEASURED / "cpu_alignment/individual_files/quarter/p40/quarter-p40-decode_b1.json",
    "layers": _MEASURED / "layers_nano/individual_files/nano/p40/nano-p40-layer_scan.json",
    "architecture": _MEASURED / "nano/individual_files/nano/p40/nano-p40-architecture.json",
}


def record_values(changes: Mapping[str, Any], kind: str = "accuracy") -> dict[str, Any]:
    """A committed record's JSON values without its seal, with `changes` merged in at any depth.

    In a list of tables, as `repeats`, each given table is merged into the first committed one.
    """
    found: dict[str, Any] = merged(_template(kind), changes)
    return found


def made_record(changes: Mapping[str, Any], kind: str = "accuracy") -> Record:
    """The record of `record_values`."""
    return parse_record(record_values(changes, kind))


@lru_cache
def _template(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_TEMPLATES[kind].read_text(encoding="utf-8"))
    del found["sha256"]
    for repeat in found.get("repeats", ()):
        for window in (repeat["energy"], repeat["natural"]["energy"]):
            window["total_reason"] = None  # else the memory's joules must be those of CodeCarbon's model
    return found


def merged(first: Any, then: Any) -> Any:
    """`then` merged into `first`: tables field by field, lists of tables into the first one, the rest replaced."""
    if isinstance(first, dict) and isinstance(then, Mapping):
        return first | {name: merged(first.get(name), value) for name, value in then.items()}
    if isinstance(first, list) and first and isinstance(first[0], dict) and isinstance(then, list):
        return [merged(first[0], value) for value in then]
    return then
