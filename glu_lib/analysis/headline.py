"""Tables of headline metrics and of workload figures: levels as columns, each cell with its change against p0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from glu_lib.analysis.level_series import LevelSeries, by_scope, family_of, only, scope_of
from glu_lib.analysis.significance import ALPHA, is_significant
from glu_lib.analysis.table import LevelKey, level_text, row_level, without_controls
from glu_lib.analysis.table_notes import table_notes
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study import STUDY

SIGNIFICANT = f"* differs from p0, p < {ALPHA} after Holm's correction over all levels and tasks of the table"
SIGNIFICANT_OF = (
    f"* differs from p0, p < {ALPHA} after Holm's correction over the {{}} comparisons of all measured tasks"
)
IS_BLIND = "° not shown to be better than the best answer that does not follow the question (blind)"
HAS_COLLAPSED = f"collapsed: above {LIMIT_TEXT}, or infinite (∞); worse than every finite score"
# Printed figures of a workload: label and unit.
WORKLOAD_FIGURES = {
    "energy_per_token_j": ("joules per token, gross", "J"),
    "net_energy_per_token_j": ("joules per token, net of idle power", "J"),
    "tokens_per_s": ("throughput", "tokens/s"),
    "time_to_first_token_ms": ("time to first token", "ms"),
    "time_per_output_token_ms": ("time per output token, median", "ms"),
}


@dataclass(frozen=True, slots=True)
class HeadlineTable:
    """One model's headline metrics: levels as columns, tasks as rows, tidy rows as cells.

    All cells have the sample limit `limit`: a table never mixes limited and full runs. `figure` names the figure of a
    table of workloads; it is empty for tasks, because each task has its own metric. `left_out` names rows whose
    headline metric differs from that of the task's lowest level. `controls` holds the rows of each control by task, in
    the order in which they stand below the levels; `checkpoints` those of each checkpoint whose baseline this model is.
    `comparisons` is the number of tested changes before some tasks were chosen (`with_tasks`), None if none were.
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
    subset: str | None = None
    checkpoints: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    comparisons: int | None = None

    def with_tasks(self, names: Sequence[str]) -> HeadlineTable:
        """The columns of these tasks, in this order; p-values and intervals stay those of the whole table."""
        tasks = tuple(name for name in dict.fromkeys(names) if name in self.tasks)
        cells = {(task, level): row for (task, level), row in self.cells.items() if task in tasks}
        shown = {level for _, level in cells}
        return replace(
            self,
            tasks=tasks,
            cells=cells,
            levels=tuple(found for found in self.levels if found[0] in shown),
            controls=_of_tasks(self.controls, tasks),
            checkpoints=_of_tasks(self.checkpoints, tasks),
            comparisons=self._compared if self.comparisons is None else self.comparisons,
        )

    @property
    def has_pruned(self) -> bool:
        """Whether there is a level besides p0."""
        return any(level != 0 for level, _ in self.levels)

    @property
    def _compared(self) -> int:
        return sum(row.get("p_holm") is not None for row in self.cells.values())

    @property
    def control_lines(self) -> Iterator[tuple[str, float, list[dict[str, Any] | None]]]:
        """Each control with its expansion ratio and its rows in the order of the tasks (None: not scored)."""
        yield from self._lines(self.controls)

    @property
    def checkpoint_lines(self) -> Iterator[tuple[str, float, list[dict[str, Any] | None]]]:
        """Each checkpoint that is compared with this model, as in `control_lines`."""
        yield from self._lines(self.checkpoints)

    def _lines(
        self, found_of: Mapping[str, Mapping[str, dict[str, Any]]]
    ) -> Iterator[tuple[str, float, list[dict[str, Any] | None]]]:
        for name, found in found_of.items():
            ratio = next(iter(found.values()))["expansion_ratio"]
            yield name, ratio, [found.get(task) for task in self.tasks]

    @property
    def family(self) -> LevelSeries:
        """The family of its levels."""
        return LevelSeries(self.model, self.method, self.divisor, self.layers, self.limit, self.subset)

    @property
    def title(self) -> str:
        """Title of the table, as `nano` or `nano, random1, divisor 64, only 8 samples per task`."""
        parts = [self.model, *self.family.words]
        parts += [self.figure] if self.figure else []
        marked = f"only {self.limit} prompts" if self.figure and self.limit else only(self.limit, self.subset)
        parts += [marked] if marked else []
        return ", ".join(parts)

    @property
    def legend(self) -> list[str]:
        """Explanations of the marks and words that occur in the cells."""
        beside = [row for found in self.checkpoints.values() for row in found.values()]
        rows = [*self.cells.values(), *beside]
        corrected = SIGNIFICANT if self.comparisons is None else SIGNIFICANT_OF.format(self.comparisons)
        lines = [corrected] if any(map(is_significant, rows)) else []
        lines += [IS_BLIND] if any(row.get("is_blind") for row in rows) else []
        controls = [row for found in self.controls.values() for row in found.values()]
        return lines + ([HAS_COLLAPSED] if any(row.get("is_collapsed") for row in (*rows, *controls)) else [])

    @property
    def notes(self) -> list[str]:
        """Notes on single cells, such as truncated prompts or levels that were not interleaved."""
        return list(table_notes(self))


def _of_tasks(
    found_of: Mapping[str, Mapping[str, dict[str, Any]]], tasks: Sequence[str]
) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of these tasks, without controls and checkpoints that have none."""
    kept = {name: {task: row for task, row in found.items() if task in tasks} for name, found in found_of.items()}
    return {name: found for name, found in kept.items() if found}


def headline_tables(rows: Iterable[dict[str, Any]]) -> list[HeadlineTable]:
    """One table per (model, method, divisor, layer set, limit) from tidy rows, in the order of the rows.

    The baseline and the controls appear in the tables of all methods, divisors and layer sets of their model and
    limit. There is no table of controls alone. A checkpoint that is compared with another model has a table of its own,
    and stands in that model's main table too, with its changes against p0 of that model.
    """
    scores = [row for row in rows if row["kind"] == "accuracy" and row["is_headline"]]
    return [_with_checkpoints(table, scores) for table in _tables(scores)]


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
    levels = [_alone(row) for row in without_controls(scores)]
    pruned = [family_of(row) for row in levels if row["percent"] != 0]
    keys = list(dict.fromkeys(pruned))
    covered = {key.scope for key in keys}
    keys += [key for key in dict.fromkeys(map(family_of, levels)) if key.scope not in covered]
    controls = [row for row in scores if row.get("control")]
    mine, beside = by_scope(levels), by_scope(controls)
    return [_with_controls(_table(key, mine.get(key.scope, [])), beside.get(key.scope, [])) for key in keys]


def _alone(row: dict[str, Any]) -> dict[str, Any]:
    """A row in the table of its own model: without the changes of a checkpoint against another model's p0."""
    return row | dict.fromkeys(("relative_delta", "p", "p_holm")) if row.get("baseline_model") else row


def _with_controls(table: HeadlineTable, scores: list[dict[str, Any]]) -> HeadlineTable:
    """The table with the rows of its model's controls; those of another headline metric are left out and named."""
    mine = [row for row in scores if scope_of(row) == table.family.scope and row["subject"] in table.tasks]
    metrics = {task: (row["metric"], row["filter"]) for (task, _), row in reversed(table.cells.items())}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    others = []
    for row in mine:
        if (row["metric"], row["filter"]) == metrics[row["subject"]]:
            found.setdefault(row["control"], {})[row["subject"]] = row
        else:
            others.append(f"{row['subject']} {row['control']} ({row['metric']})")
    return replace(table, controls=found, left_out=(*table.left_out, *others))


def _with_checkpoints(table: HeadlineTable, scores: list[dict[str, Any]]) -> HeadlineTable:
    """The main table of a model with the rows of the checkpoints that are compared with it, in the same tasks."""
    if not table.family.is_main:
        return table
    metrics = {(task, row["metric"], row["filter"]) for (task, _), row in table.cells.items()}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in scores:
        is_mine = row.get("baseline_model") == table.model and scope_of(row)[1:] == table.family.scope[1:]
        if is_mine and (row["subject"], row["metric"], row["filter"]) in metrics:
            # Like a control it is no level: the percentage 0 would be that of this model's own p0.
            found.setdefault(row["model"], {})[row["subject"]] = row | {"percent": None}
    return replace(table, checkpoints=found)


def _table(key: LevelSeries, scores: list[dict[str, Any]]) -> HeadlineTable:
    mine = [row for row in scores if family_of(row) == key or (row["percent"] == 0 and scope_of(row) == key.scope)]
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
        subset=key.subset,
        left_out=tuple(f"{row['subject']} {level_text(row_level(row))} ({row['metric']})" for row in others),
    )


def _width_order(row: Mapping[str, Any]) -> tuple[float, float]:
    """Sort key of a family's levels, from wide to narrow; within a family, percentages and widths have one order."""
    return row["percent"], row["expansion_ratio"]


def _declared_place(task: str) -> tuple[int, str]:
    """Sort key: tasks of the built-in study in its order, then all others by name."""
    declared = [*STUDY.tasks, *STUDY.workloads]
    return (declared.index(task) if task in declared else len(declared), task)
