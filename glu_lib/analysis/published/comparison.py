"""Own scores beside the published study's, within which error they agree, and its tables as tidy rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.published.energy_tables import PUBLISHED_DIR
from glu_lib.analysis.table import Row
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study import STUDY, Method
from glu_lib.study.architecture import format_ratio

ACCURACY_TABLE = "glu_lib/analysis/published/accuracy.csv"
MODEL_KEYS = {"llama1b": "llama1b", "llama3b": "llama3b", "llama1b-instruct": "instruct1b"}

_STDERR = "_stderr"
_DEVIATIONS = 1.96  # two-sided 95 % of a normal distribution
# Shares of items that are right or wrong; truthfulqa_mc2's acc is a probability mass, inst_level_* counts instructions.
_SHARES = frozenset({"acc", "acc_norm", "exact_match", "prompt_level_strict_acc", "prompt_level_loose_acc"})
_NO_SHARES = frozenset({"truthfulqa_mc2"})

_SUITES = ("paper", "instruct")  # of the built-in study: what was published


@dataclass(frozen=True, slots=True)
class Beside:
    """One own score beside the published one of the same model, level, task and metric.

    `difference` is own - published. `stderr` is the standard error of the difference, √(own² + published²), where both
    are known or can be assumed, and `within_error` whether |difference| ≤ 1.96·stderr. Both score the same items, so
    that the true error is smaller than that of two independent samples: True means 'sampling alone could explain it',
    not 'the same measurement'. `note` says what was assumed and what differs.
    """

    model: str
    percent: int
    expansion_ratio: float
    task: str
    metric: str
    own: float
    published: float
    difference: float
    stderr: float | None
    within_error: bool | None
    note: str


def beside(rows: Iterable[Row]) -> list[Beside]:
    """Own scores beside the published ones, in the order of `rows`; headline metrics and all others that have one.

    The published levels were pruned by PPM without a divisor: other rows are left out, as are scores of sub-tasks, and
    those that were prompted otherwise or have collapsed (`unlike` names them): the study's prompts were plain text,
    with the built-in study's numbers of examples.
    """
    return [_beside(row, other) for row, other in _counterparts(rows) if not _cannot_stand_beside(row, other)]


def unlike(rows: Iterable[Row]) -> list[str]:
    """One line per model and task that was published, but of another model or prompted otherwise, or has collapsed."""
    lines = (
        f"{row['model']}: {row['subject']} is not compared: {how}"
        for row, other in _counterparts(rows)
        if (how := _cannot_stand_beside(row, other))
    )
    return list(dict.fromkeys(lines))


def _counterparts(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Own rows, each with the published row of the same model, level, lm-eval task and metric."""
    published = {_measured(row): row for row in published_rows()}
    for row in filter(_is_comparable, rows):
        if other := published.get(_measured(row)):
            yield row, other


def _cannot_stand_beside(row: Row, other: Row) -> str:
    """Why two scores have no difference that could be told; empty if they have one."""
    sizes = [
        round(found["width"] / found["expansion_ratio"]) if found["expansion_ratio"] else 0 for found in (row, other)
    ]
    if sizes[0] != sizes[1]:
        return f"it is another model, of hidden size {sizes[0]}, the published one has {sizes[1]}"
    if (how := _prompted_otherwise(row, other)) or not row.get("is_collapsed"):
        return how
    value = f"the published {row['metric']} is {other['value']:.4g}"
    return f"at p{row['percent']} it has collapsed (above {LIMIT_TEXT}, or infinite), {value}"


def _prompted_otherwise(row: Row, other: Row) -> str:
    """How the own prompts differ from the published ones; empty if they do not."""
    own, published = ((found["prompt_format"], found["num_fewshot"]) for found in (row, other))
    if own == published:
        return ""
    formats = [f"{prompts} prompts with {shots} examples" for prompts, shots in (own, published)]
    return f"{formats[0]}, the published {other['subject']} has {formats[1]}"


def published_rows() -> list[Row]:
    """The published scores and parameter counts as tidy rows with their baselines, as `consolidate` gives own ones.

    `record` names the table. Direction and chance level of headline metrics are the built-in study's. Standard errors
    are those printed (gsm8k, ifeval, leaderboard_musr); sizes of tasks, dates and machines are not known.
    """
    shapes = {(row["model"], row["pruning_pct"]): row for row in _read("architecture")}
    table = _read("accuracy")
    errors = {_published_place(row): float(row["value"]) for row in table if _STDERR in row["metric"]}
    rows = [_tidy(row, shapes, errors) for row in table if _STDERR not in row["metric"]]
    baselines = {_place(row): row["value"] for row in rows if row["percent"] == 0}
    return [row | _change(row, baselines.get(_place(row | {"percent": 0}))) for row in rows]


def _read(table: str) -> list[dict[str, str]]:
    with (PUBLISHED_DIR / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _tidy(row: dict[str, str], shapes: dict[tuple[str, str], dict[str, str]], errors: dict[Any, float]) -> Row:
    """One published score with all columns, still without its baseline."""
    shape = shapes[row["model"], row["pruning_pct"]]
    metric, _, filter_name = row["metric"].partition(",")
    model, percent, task = MODEL_KEYS[row["model"]], int(row["pruning_pct"]), STUDY.tasks[row["task"]]
    is_headline = row["is_table_metric"] == "1"
    return dict.fromkeys(COLUMNS) | {
        "case": f"{model}-p{percent}-{task.key}",
        "kind": "accuracy",
        "model": model,
        "percent": percent,
        "method": str(Method.PPM) if percent else None,
        "width": int(shape["intermediate_size"]),
        "expansion_ratio": float(shape["expansion_ratio"]),
        "parameters": int(shape["parameters"]),
        "suites": " ".join(
            key for key in _SUITES if task.key in STUDY.suites[key].tasks and model in STUDY.suites[key].models
        ),
        "subject": task.key,
        "task": task.lm_eval_name,
        "metric": metric,
        "filter": filter_name or "none",
        "prompt_format": str(task.prompt_format),
        "num_fewshot": task.num_fewshot,
        "is_headline": is_headline,
        "higher_is_better": task.metric.higher_is_better if is_headline else None,
        "chance": task.metric.chance if is_headline else None,
        "value": float(row["value"]),
        "stderr": errors.get(_published_place(row)),
        "record": ACCURACY_TABLE,
    }


def _published_place(row: dict[str, str]) -> tuple[str, ...]:
    """A score and its standard error share this place."""
    return (row["model"], row["pruning_pct"], row["task"], row["metric"].replace(_STDERR, ""))


def _change(row: Row, baseline: float | None) -> Row:
    if baseline is None:
        return {}
    delta = row["value"] - baseline
    return {"baseline": baseline, "delta": delta, "relative_delta": delta / baseline if baseline else None}


def _place(row: Row) -> tuple[Any, ...]:
    return (row["model"], row["percent"], row["subject"], row["task"], row["metric"], row["filter"])


def _measured(row: Row) -> tuple[Any, ...]:
    """What a row measures, whatever its task is called in the study."""
    return (row["model"], row["percent"], row["task"], row["metric"], row["filter"])


def _is_comparable(row: Row) -> bool:
    return (
        row["kind"] == "accuracy"
        and (row["value"] is not None or bool(row.get("is_collapsed")))
        and row["divisor"] is None
        and row["method"] in (None, Method.PPM)
    )


def _beside(row: Row, other: Row) -> Beside:
    difference = row["value"] - other["value"]
    published_error, assumed = _published_error(row, other)
    error = None
    if row["stderr"] is not None and published_error is not None:
        error = math.hypot(row["stderr"], published_error)
    label = row["metric"] if row["filter"] == "none" else f"{row['metric']},{row['filter']}"
    return Beside(
        model=row["model"],
        percent=row["percent"],
        expansion_ratio=row["expansion_ratio"],
        task=row["subject"],
        metric=label,
        own=row["value"],
        published=other["value"],
        difference=difference,
        stderr=error,
        within_error=None if error is None else abs(difference) <= _DEVIATIONS * error,
        note="; ".join(_notes(row, other, assumed)),
    )


def _published_error(row: Row, other: Row) -> tuple[float | None, str]:
    """Standard error of the published score, and what was assumed for it.

    As printed, where it is; for shares of right answers √(p·(1 - p) / n) with the own run's n.
    """
    if other["stderr"] is not None:
        return other["stderr"], ""
    share = other["value"]
    if row["metric"] not in _SHARES or row["subject"] in _NO_SHARES or not row["n"] or not 0 <= share <= 1:
        return None, "the published standard error is not known"
    # With a limit the own n is not the published one: the study scored whole tasks.
    if row["limit"] is not None:
        return None, "the published standard error is not known, and the number of items differs"
    return math.sqrt(share * (1 - share) / row["n"]), f"published standard error assumed binomial with n = {row['n']}"


def _notes(row: Row, other: Row, assumed: str) -> Iterator[str]:
    if assumed:
        yield assumed
    source = (row.get("measured_as") or {}).get("model")
    if source not in (None, STUDY.models[row["model"]].source):
        yield f"own weights from {source}"
    if row["limit"] is not None:
        yield f"own score of only {row['limit']} samples per task"
    if row["truncated_prompts"]:
        yield f"{row['truncated_prompts']} own prompts lost their beginning"
    if row["width"] != other["width"]:
        ratios = f"{format_ratio(row['expansion_ratio'])} here, {format_ratio(other['expansion_ratio'])} published"
        yield f"other widths: {row['width']} here, {other['width']} published ({ratios})"
