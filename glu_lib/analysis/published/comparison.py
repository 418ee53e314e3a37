"""Comparison of own scores with the published ones, with standard errors, and the published tables as tidy rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.published.blind import NO_SHARES, SHARES, with_blind
from glu_lib.analysis.published.energy_tables import PUBLISHED_DIR
from glu_lib.analysis.table import Row
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study import STUDY, Method
from glu_lib.study.architecture import format_ratio

ACCURACY_TABLE = "glu_lib/analysis/published/accuracy.csv"
MODEL_KEYS = {"llama1b": "llama1b", "llama3b": "llama3b", "llama1b-instruct": "instruct1b"}

_STDERR = "_stderr"
_DEVIATIONS = 1.96  # two-sided 95 % of a normal distribution
_SUITES = ("paper", "instruct")  # suites of the built-in study that were published


@dataclass(frozen=True, slots=True)
class Beside:
    """An own score and the published score of the same model, level, task and metric.

    `difference` is own - published. `stderr` is the standard error of the difference, √(own² + published²), if both are
    known or can be assumed. `within_error` says whether |difference| ≤ 1.96·stderr. Because both scores are of the same
    items, the true error is smaller than this one, which assumes independent samples. True thus means that sampling
    alone could explain the difference, not that the measurements agree. `note` names assumptions and known differences.
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
    """Own scores compared with the published ones, in the order of `rows`, for all metrics that were published.

    The published levels were pruned by PPM without a divisor, and the prompts were plain text with the built-in study's
    few-shot counts. Rows of other methods or divisors and scores of sub-tasks are left out. So are the scores named by
    `unlike`: those with other prompts, of another model, or collapsed.
    """
    return [_beside(row, other) for row, other in _counterparts(rows) if not _cannot_stand_beside(row, other)]


def unlike(rows: Iterable[Row]) -> list[str]:
    """The published tasks that cannot be compared (another model, other prompts, collapsed): one line per reason."""
    lines = (
        f"{row['model']}: {row['subject']} is not compared: {how}"
        for row, other in _counterparts(rows)
        if (how := _cannot_stand_beside(row, other))
    )
    return list(dict.fromkeys(lines))


def _counterparts(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Own rows that were published, each with the published row of the same model, level, lm-eval task and metric."""
    models = frozenset(MODEL_KEYS.values())
    mine = [row for row in rows if row["model"] in models and _is_comparable(row)]
    published = {_measured(row): row for row in published_rows()} if mine else {}  # their tests take half a second
    for row in mine:
        if other := published.get(_measured(row)):
            yield row, other


def _cannot_stand_beside(row: Row, other: Row) -> str:
    """Why an own score cannot be compared with the published one; empty if it can."""
    sizes = [
        round(found["width"] / found["expansion_ratio"]) if found["expansion_ratio"] else 0 for found in (row, other)
    ]
    if sizes[0] != sizes[1]:
        return f"the model differs: hidden size {sizes[0]}, the published one has {sizes[1]}"
    if (how := _prompted_otherwise(row, other)) or not row.get("is_collapsed"):
        return how
    value = f"the published {row['metric']} is {other['value']:.4g}"
    return f"at p{row['percent']} it has collapsed (above {LIMIT_TEXT}, or infinite), {value}"


def _prompted_otherwise(row: Row, other: Row) -> str:
    """How the own prompts differ from the published ones; empty if they are alike."""
    own, published = ((found["prompt_format"], found["num_fewshot"]) for found in (row, other))
    if own == published:
        return ""
    formats = [f"{prompts} prompts with {shots} examples" for prompts, shots in (own, published)]
    return f"{formats[0]}, the published {other['subject']} has {formats[1]}"


def published_rows() -> list[Row]:
    """The published scores and parameter counts as tidy rows with baselines, in the form of `consolidate`.

    `record` names the table. The better side and the chance level of headline metrics come from the built-in study.
    Standard errors are known only where they were printed (gsm8k, ifeval, leaderboard_musr). Numbers of items, dates
    and machines are unknown. Blind scores are those of blind.csv (`with_blind`).
    """
    shapes = {(row["model"], row["pruning_pct"]): row for row in _read("architecture")}
    table = _read("accuracy")
    errors = {_published_place(row): float(row["value"]) for row in table if _STDERR in row["metric"]}
    rows = [_tidy(row, shapes, errors) for row in table if _STDERR not in row["metric"]]
    baselines = {_place(row): row["value"] for row in rows if row["percent"] == 0}
    return with_blind([row | _change(row, baselines.get(_place(row | {"percent": 0}))) for row in rows])


def _read(table: str) -> list[dict[str, str]]:
    with (PUBLISHED_DIR / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _tidy(row: dict[str, str], shapes: dict[tuple[str, str], dict[str, str]], errors: dict[Any, float]) -> Row:
    """One published score as a tidy row, without its baseline."""
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
    """Key of a published score, which its standard error has too."""
    return (row["model"], row["pruning_pct"], row["task"], row["metric"].replace(_STDERR, ""))


def _change(row: Row, baseline: float | None) -> Row:
    if baseline is None:
        return {}
    delta = row["value"] - baseline
    return {"baseline": baseline, "delta": delta, "relative_delta": delta / baseline if baseline else None}


def _place(row: Row) -> tuple[Any, ...]:
    return (row["model"], row["percent"], row["subject"], row["task"], row["metric"], row["filter"])


def _measured(row: Row) -> tuple[Any, ...]:
    """Key of the measurement; it uses lm-eval's name of the task, because a study may name the task differently."""
    return (row["model"], row["percent"], row["task"], row["metric"], row["filter"])


def _is_comparable(row: Row) -> bool:
    return (
        row["kind"] == "accuracy"
        and (row["value"] is not None or bool(row.get("is_collapsed")))
        and row["divisor"] is None
        and row["layers"] is None
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
    """Standard error of the published score, and a note on how it was assumed or why it is unknown.

    The printed error if there is one; for shares of right answers √(p·(1 - p) / n) with the n of the own run.
    """
    if other["stderr"] is not None:
        return other["stderr"], ""
    share = other["value"]
    if row["metric"] not in SHARES or row["subject"] in NO_SHARES or not row["n"] or not 0 <= share <= 1:
        return None, "the published standard error is not known"
    # The study scored whole tasks, so the n of a limited run does not apply.
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
