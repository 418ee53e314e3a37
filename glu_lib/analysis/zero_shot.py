"""The mean of the zero-shot tasks of a level, as papers on compression print it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from glu_lib.analysis.table import Row

# The seven of wanda, LLM-Pruner and SliceGPT, each with its headline metric of the study.
ZERO_SHOT_TASKS = ("boolq", "piqa", "hellaswag", "winogrande", "arc_easy", "arc_challenge", "openbookqa")
_FEWEST = 2  # the mean of one task is that task
_PLACE = ("model", "control", "percent", "asked", "method", "divisor", "layers", "limit", "subset", "weights", "dtype")


def add_zero_shot_means(rows: Iterable[Row]) -> None:
    """Write `zero_shot_mean` and `zero_shot_tasks` into the scored rows of each level; the rows are changed in place.

    The mean is unweighted, over those of `ZERO_SHOT_TASKS` that the level has with plain prompts, without examples and
    in one dtype. Both columns stay null with fewer than two of them.
    """
    levels: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["kind"] == "accuracy":
            levels.setdefault(tuple(row.get(name) for name in _PLACE), []).append(row)
    for found in levels.values():
        scores = {row["subject"]: row["value"] for row in found if is_zero_shot(row)}
        if len(scores) < _FEWEST:
            continue
        mean, names = statistics.fmean(scores.values()), [task for task in ZERO_SHOT_TASKS if task in scores]
        for row in found:
            row |= {"zero_shot_mean": mean, "zero_shot_tasks": " ".join(names)}


def is_zero_shot(row: Row) -> bool:
    """Whether a row is the headline score of one of the tasks, with plain prompts and without examples."""
    is_asked_plainly = row["num_fewshot"] == 0 and row["prompt_format"] == "plain"
    is_one = row["subject"] in ZERO_SHOT_TASKS and row["task"] == row["subject"] and is_asked_plainly
    return bool(row["is_headline"] and is_one and row["value"] is not None and row["higher_is_better"])
