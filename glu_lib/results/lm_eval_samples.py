"""Reads the files that lm-eval's own writer left beside a record: prompts, options, generated texts, configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glu_lib.results.cached import read_cache
from glu_lib.results.store import Store

_LONGEST_LINE = 1 << 24  # bytes; a folder of unknown source may hold a line of any length
_PREFIX, _SUFFIX = "samples_", ".jsonl"


def lm_eval_files_of(store: Store, record: str) -> list[Path]:
    """lm-eval's samples files of `record`, a record's path relative to the results folder; links out of it excluded."""
    found = sorted(store.lm_eval_of(record).glob(f"*/{_PREFIX}*{_SUFFIX}"))
    return [path for path in found if path.is_file() and store.is_inside(path)]


def lm_eval_results_of(store: Store, record: str) -> dict[str, Any]:
    """lm-eval's results file of `record`, as it is; {} if there is none that can be read.

    Args:
        store: the results folder.
        record: the record's path relative to the results folder.
    """
    paths = sorted(store.lm_eval_of(record).glob("*/results_*.json"))
    inside = [path for path in paths if store.is_inside(path)]
    return (read_cache(inside[-1]) if inside else None) or {}


def read_lm_eval_samples(path: Path) -> Iterator[tuple[tuple[str, Any, str], dict[str, Any]]]:
    """The lines of a samples file, each with its key (task, doc_id, filter); one line is in memory at a time.

    Raises:
        OSError, or one of MALFORMED: if the file cannot be read.
    """
    task = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX).rpartition("_")[0]  # samples_<task>_<date>.jsonl
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise ValueError(f"a line of {_LONGEST_LINE} bytes or more")
            sample = json.loads(line)
            if not isinstance(sample, dict):
                raise TypeError("a line is no table")
            yield (task, sample.get("doc_id"), str(sample.get("filter"))), sample


def generated_text(sample: dict[str, Any]) -> str | None:
    """The text that the model generated, before lm-eval's filters; None if the sample is of another kind."""
    match sample.get("resps"):
        case [[str(text), *_], *_]:
            return text
    return None
