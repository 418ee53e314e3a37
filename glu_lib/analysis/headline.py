"""Tables of headline metrics and of workload figures: levels as columns, each cell with its change against p0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from glu_lib.analysis.answer_texts import defects
from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.level_series import LevelSeries, family_of
from glu_lib.analysis.significance import ALPHA, is_significant
from glu_lib.analysis.table import LevelKey, level_text, row_level, without_controls
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study import STUDY, Control

SIGNIFICANT = f"* differs from p0, p < {ALPHA} after Holm's correction over all levels and tasks of the table"
IS_BLIND = "° not better than the best answer that does not follow the question (blind)"
HAS_COLLAPSED = f"collapsed: above {LIMIT_TEXT}, or infinite (∞); worse than every finite score"
# Printed figures of a workload: label and unit.
WORKLOAD_FIGURES = {
    "energy_per_token_j": ("joules per token, gross", "J"),
    "net_energy_per_token_j": ("joules per token, net of idle power", "J"),
    "tokens_per_s": ("throughput", "tokens/s"),
    "time_to_first_token_ms": ("time to first token", "ms"),
    "time_per_output_token_ms": ("time per output token, median", "ms"),
}

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


@dataclass(frozen=True, slots=True)
class HeadlineTable:
    """One model's headline metrics: levels as columns, tasks as rows, tidy rows as cells.

    All cells have the sample limit `limit`: a table never mixes limited and full runs. `figure` names the figure of a
    table of workloads; it is empty for tasks, because each task has its own metric. `left_out` names rows whose
    headline metric differs from that of the task's lowest level. `controls` holds the rows of each control by task, in
    the order in which they stand below the levels.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    limit: int | None
    levels: tuple[tuple[LevelKey, float], ...]
    tasks: tuple[str, ...]
    cells: dict[tuple[str, LevelKey], dict[str, Any]]
    figure: str = ""
    left_out: tuple[str, ...] = ()
    controls: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def control_lines(self) -> Iterator[tuple[str, float, list[dict[str, Any] | None]]]:
        """Each control with its expansion ratio and its rows in the order of the tasks (None: not scored)."""
        for name, found in self.controls.items():
            ratio = next(iter(found.values()))["expansion_ratio"]
            yield name, ratio, [found.get(task) for task in self.tasks]

    @property
    def family(self) -> LevelSeries:
        """The family of its levels."""
        return LevelSeries(self.model, self.method, self.divisor, self.layers, self.limit)

    @property
    def title(self) -> str:
        """Title of the table, as `nano` or `nano, random1, divisor 64, only 8 samples per task`."""
        parts = [self.model, *self.family.words]
        parts += [self.figure] if self.figure else []
        parts += [f"only {self.limit} {'prompts' if self.figure else 'samples per task'}"] if self.limit else []
        return ", ".join(parts)

    @property
    def legend(self) -> list[str]:
        """Explanations of the marks and words that occur in the cells."""
        rows = self.cells.values()
        lines = [SIGNIFICANT] if any(map(is_significant, rows)) else []
        lines += [IS_BLIND] if any(row.get("is_blind") for row in rows) else []
        controls = [row for found in self.controls.values() for row in found.values()]
        return lines + ([HAS_COLLAPSED] if any(row.get("is_collapsed") for row in (*rows, *controls)) else [])

    @property
    def notes(self) -> list[str]:
        """Notes on single cells, such as truncated prompts or levels that were not interleaved."""
        notes = []
        for column, text in _COUNTED.items():
            counts = {key: row.get(column) for key, row in self.cells.items()}
            if found := [f"{task} {level_text(level)} {count}" for (task, level), count in counts.items() if count]:
                notes.append(f"{text}: {', '.join(found)}")
        if odd := list(self._odd_answers()):
            notes.append(f"generated answers mostly repetition, empty or cut by the token limit: {', '.join(odd)}")
        if unlike := list(self._unlike_baselines()):
            notes.append(f"measured differently from p0, so no change is given: {', '.join(unlike)}")
        if shared := [
            f"{task} {level_text(level)}" for (task, level), row in self.cells.items() if self._is_beside_others(row)
        ]:
            notes.append(f"joules and times measured beside other processes (--allow-shared): {', '.join(shared)}")
        own = {key: row.get("generation_settings") for key, row in self.cells.items()}
        if decoded := [
            f"{task} {level_text(level)} ({_listed(found)})" for (task, level), found in own.items() if found
        ]:
            notes.append(f"answers decoded with the model's own generation settings: {', '.join(decoded)}")
        if self.controls:
            meanings = (f"{name} ({_CONTROLS[name]})" for name in self.controls)
            notes.append(f"controls, not levels of pruning: {', '.join(meanings)}")
        if self.left_out:
            notes.append(f"left out, headline metric differs from the first level's: {', '.join(self.left_out)}")
        apart = [task for task in self.tasks if self.figure and not self._took_turns(task)]
        if apart:
            text = "levels that did not take turns in one run, so drift may look like an effect of pruning"
            notes.append(f"{text}: {', '.join(apart)}")
        return notes

    def _odd_answers(self) -> Iterator[str]:
        """Cells whose generated answers are mostly repetition, empty or cut: `ifeval p40 (cut 91 %)`."""
        for (task, level), row in self.cells.items():
            if found := defects(row):
                words = ", ".join(f"{word} {share:.0%}" for word, share in found.items())
                yield f"{task} {level_text(level)} ({words})"

    def _is_beside_others(self, row: Mapping[str, Any]) -> bool:
        """Whether other processes ran while a cell's energy or time was measured; scores do not depend on it."""
        return row.get("is_exclusive") is False and (bool(self.figure) or row.get("energy_j") is not None)

    def _unlike_baselines(self) -> Iterator[str]:
        """Cells that were measured differently from p0, with the fields that differ: `facts p40 (dtype)`."""
        for (task, level), row in self.cells.items():
            if differing := unlike_fields(row, self.cells.get((task, 0), row)):
                yield f"{task} {level_text(level)} ({', '.join(differing)})"
        for name, found in self.controls.items():
            for task, row in found.items():
                if differing := unlike_fields(row, self.cells.get((task, 0), row)):
                    yield f"{task} {name} ({', '.join(differing)})"

    def _took_turns(self, task: str) -> bool:
        """Whether a workload's levels were interleaved in one run; True for a single level."""
        turns = [row.get("turns") for (name, _), row in self.cells.items() if name == task]
        return len(turns) == 1 or (None not in turns and len(set(turns)) == 1)


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def headline_tables(rows: Iterable[dict[str, Any]]) -> list[HeadlineTable]:
    """One table per (model, method, divisor, layer set, limit) from tidy rows, in the order of the rows.

    The baseline and the controls appear in the tables of all methods, divisors and layer sets of their model and
    limit. There is no table of controls alone.
    """
    return _tables([row for row in rows if row["kind"] == "accuracy" and row["is_headline"]])


def workload_tables(rows: Iterable[dict[str, Any]]) -> list[HeadlineTable]:
    """One table per workload figure and (model, method, divisor, layer set, limit): energy, throughput and latency."""
    found = list(rows)
    tables = []
    for metric, (figure, unit) in WORKLOAD_FIGURES.items():
        chosen = [row | {"metric": unit} for row in found if row["kind"] == "energy" and row["metric"] == metric]
        for table in _tables(chosen):
            qualities = sorted({row["energy_quality"] or "not available" for row in table.cells.values()})
            label = f"{figure} ({', '.join(qualities)})" if unit == "J" else figure
            tables.append(replace(table, figure=label))
    return tables


def main_tables(tables: Iterable[HeadlineTable]) -> list[HeadlineTable]:
    """The main table of each model: PPM on all layers without divisor, from full runs or with the largest limit."""
    chosen: dict[str, HeadlineTable] = {}
    for table in tables:
        if table.family.is_main:
            other = chosen.get(table.model)
            if other is None or (other.limit and (table.limit or math.inf) > other.limit):
                chosen[table.model] = table
    return list(chosen.values())


def _tables(scores: list[dict[str, Any]]) -> list[HeadlineTable]:
    levels = without_controls(scores)
    pruned = [family_of(row) for row in levels if row["percent"] != 0]
    keys = list(dict.fromkeys(pruned))
    covered = {(key.model, key.limit) for key in keys}
    keys += [key for key in dict.fromkeys(map(family_of, levels)) if (key.model, key.limit) not in covered]
    controls = [row for row in scores if row.get("control")]
    return [_with_controls(_table(key, levels), controls) for key in keys]


def _with_controls(table: HeadlineTable, scores: list[dict[str, Any]]) -> HeadlineTable:
    """The table with the rows of its model's controls; those of another headline metric are left out and named."""
    mine = [
        row
        for row in scores
        if (row["model"], row["limit"]) == (table.model, table.limit) and row["subject"] in table.tasks
    ]
    metrics = {task: (row["metric"], row["filter"]) for (task, _), row in reversed(table.cells.items())}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    others = []
    for row in mine:
        if (row["metric"], row["filter"]) == metrics[row["subject"]]:
            found.setdefault(row["control"], {})[row["subject"]] = row
        else:
            others.append(f"{row['subject']} {row['control']} ({row['metric']})")
    return replace(table, controls=found, left_out=(*table.left_out, *others))


def _table(key: LevelSeries, scores: list[dict[str, Any]]) -> HeadlineTable:
    mine = [
        row
        for row in scores
        if family_of(row) == key or (row["percent"] == 0 and (row["model"], row["limit"]) == (key.model, key.limit))
    ]
    mine.sort(key=lambda row: row["percent"])
    metrics = {row["subject"]: (row["metric"], row["filter"]) for row in reversed(mine)}  # of the lowest level
    kept = [row for row in mine if (row["metric"], row["filter"]) == metrics[row["subject"]]]
    others = [row for row in mine if (row["metric"], row["filter"]) != metrics[row["subject"]]]
    return HeadlineTable(
        model=key.model,
        method=key.method,
        divisor=key.divisor,
        layers=key.layers,
        limit=key.limit,
        levels=tuple(dict.fromkeys((row_level(row), row["expansion_ratio"]) for row in sorted(kept, key=_width_order))),
        tasks=tuple(sorted({row["subject"] for row in kept}, key=_declared_place)),
        cells={(row["subject"], row_level(row)): row for row in kept},
        left_out=tuple(f"{row['subject']} {level_text(row_level(row))} ({row['metric']})" for row in others),
    )


def _width_order(row: Mapping[str, Any]) -> tuple[float, float]:
    """Sort key of a family's levels, from wide to narrow; within a family, percentages and widths have one order."""
    return row["percent"], row["expansion_ratio"]


def _declared_place(task: str) -> tuple[int, str]:
    """Sort key: tasks of the built-in study in its order, then all others by name."""
    declared = [*STUDY.tasks, *STUDY.workloads]
    return (declared.index(task) if task in declared else len(declared), task)
