"""The notes below a table of headline metrics: what a reader must know of single cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from glu_lib.analysis.answer_texts import defects
from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.table import level_text
from glu_lib.study import Control

if TYPE_CHECKING:
    from glu_lib.analysis.headline import HeadlineTable

_USUAL_WEIGHTS = ("real", "random", "None")
# Counts of a case that a note below the table explains.
_COUNTED = {
    "truncated_prompts": "prompts longer than the model's context, scored without their beginning",
    "unknown_requests": "texts with words that the tokenizer does not know (UNK), which a model may well predict",
    "tied_items": "items whose best options are equally likely, so that the first one counts",
}


_CONTROLS = {
    Control.NO_MLP.label: "all neurons off, attention and embeddings stay",
    Control.UNTRAINED.label: "random weights of the same shape",
}


def table_notes(table: HeadlineTable) -> Iterator[str]:
    """Notes on single cells, such as truncated prompts or levels that were not interleaved."""
    for column, text in _COUNTED.items():
        counts = {key: row.get(column) for key, row in table.cells.items()}
        if found := [f"{task} {level_text(level)} {count}" for (task, level), count in counts.items() if count]:
            yield f"{text}: {', '.join(found)}"
    if odd := list(_odd_answers(table)):
        yield f"generated answers mostly repetition, empty or cut by the token limit: {', '.join(odd)}"
    limits = {task: row.get("task_limit") for (task, _), row in table.cells.items()}
    if some := [f"{task} {limit}" for task, limit in limits.items() if limit]:
        yield f"items of each subtask, by the study's own limits: {', '.join(some)}"
    formats = dict.fromkeys(str(row.get("weights")) for row in table.cells.values())
    if stored := [found for found in formats if found not in _USUAL_WEIGHTS]:
        yield f"weights: {', '.join(stored)}"
    if unlike := list(_unlike_baselines(table)):
        yield f"measured differently from p0, so no change is given: {', '.join(unlike)}"
    if elsewhere := list(_on_other_processors(table)):
        yield f"scored on another processor than p0, which can change last digits: {', '.join(elsewhere)}"
    if shared := [
        f"{task} {level_text(level)}" for (task, level), row in table.cells.items() if _is_beside_others(table, row)
    ]:
        yield f"joules and times measured beside other processes (--allow-shared): {', '.join(shared)}"
    own = {key: row.get("generation_settings") for key, row in table.cells.items()}
    if decoded := [f"{task} {level_text(level)} ({_listed(found)})" for (task, level), found in own.items() if found]:
        yield f"answers decoded with the model's own generation settings: {', '.join(decoded)}"
    if table.controls:
        meanings = (f"{name} ({_CONTROLS[name]})" for name in table.controls)
        yield f"controls, not levels of pruning: {', '.join(meanings)}"
    if table.checkpoints:
        names = (f"{name}{_widths(found)}" for name, found in table.checkpoints.items())
        text = "checkpoints, changes against p0 of this model, Holm's correction over each one's own comparisons"
        yield f"{text}: {', '.join(names)}"
    if table.left_out:
        yield f"left out, headline metric differs from the first level's: {', '.join(table.left_out)}"
    apart = [task for task in table.tasks if table.figure and not _took_turns(table, task)]
    if apart:
        text = "levels that did not take turns in one run, so drift may look like an effect of pruning"
        yield f"{text}: {', '.join(apart)}"


def _widths(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The level whose widths a checkpoint has, as the study names it: ` (widths of p40)`."""
    levels = {row["baseline_level"] for row in rows.values() if row["baseline_level"]}
    return f" (widths of {', '.join(sorted(levels))})" if levels else ""


def _odd_answers(table: HeadlineTable) -> Iterator[str]:
    """Cells whose generated answers are mostly repetition, empty or cut: `ifeval p40 (cut 91 %)`."""
    for (task, level), row in table.cells.items():
        if found := defects(row):
            words = ", ".join(f"{word} {share:.0%}" for word, share in found.items())
            yield f"{task} {level_text(level)} ({words})"


def _is_beside_others(table: HeadlineTable, row: Mapping[str, Any]) -> bool:
    """Whether other processes ran while a cell's energy or time was measured; scores do not depend on it."""
    return row.get("is_exclusive") is False and (bool(table.figure) or row.get("energy_j") is not None)


def _unlike_baselines(table: HeadlineTable) -> Iterator[str]:
    """Cells that were measured differently from p0, with the fields that differ: `facts p40 (dtype)`."""
    for (task, level), row in table.cells.items():
        if differing := unlike_fields(row, table.cells.get((task, 0), row)):
            yield f"{task} {level_text(level)} ({', '.join(differing)})"
    for name, found in table.controls.items():
        for task, row in found.items():
            if differing := unlike_fields(row, table.cells.get((task, 0), row)):
                yield f"{task} {name} ({', '.join(differing)})"


def _on_other_processors(table: HeadlineTable) -> Iterator[str]:
    """Scores on another processor than those of p0: `facts p40 (NVIDIA L4)`; figures of workloads are not compared."""
    for (task, level), row in () if table.figure else table.cells.items():
        first = table.cells.get((task, 0), row)
        if row.get("device") != first.get("device"):
            yield f"{task} {level_text(level)} ({row.get('device')})"


def _took_turns(table: HeadlineTable, task: str) -> bool:
    """Whether a workload's levels were interleaved in one run; True for a single level."""
    turns = [row.get("turns") for (name, _), row in table.cells.items() if name == task]
    return len(turns) == 1 or (None not in turns and len(set(turns)) == 1)


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
