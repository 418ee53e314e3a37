"""What scoring a task gave: every metric as a number, every sample, out of lm-eval's result tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glu_lib.errors import MeasurementError
from glu_lib.study import Task

_STDERR = "_stderr"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number lm-eval reports: of which (sub-)task, metric and filter; stderr None where it has none."""

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one task gave: the headline value, every value, every sample.

    `count` is the number of samples scored, `expected` the number asked for. `num_fewshot` is the number of examples
    that lm-eval's tasks used. `truncated_prompts` and
    `cut_generations` are requests that did not fit, `batch_size` is what fitted into memory. `results`
    and `raw_samples` are lm-eval's own, for its own files.
    """

    headline: MetricValue
    metrics: tuple[MetricValue, ...]
    samples: tuple[dict[str, Any], ...]
    count: int
    expected: int
    num_fewshot: int
    task_versions: dict[str, str]
    truncated_prompts: int
    cut_generations: int
    batch_size: int
    results: dict[str, Any] = field(repr=False, compare=False)
    raw_samples: dict[str, list[dict[str, Any]]] = field(repr=False, compare=False)


def metric_values(results: dict[str, Any]) -> Iterator[MetricValue]:
    """Flatten lm-eval's `{task: {'acc,none': value, 'acc_stderr,none': stderr}}`, groups included."""
    tables = {**results["results"], **results.get("groups", {})}
    for name, row in tables.items():
        for label, value in row.items():
            metric, _, filter_name = label.partition(",")
            if not filter_name or metric.endswith(_STDERR) or not isinstance(value, int | float):
                continue
            stderr = row.get(f"{metric}{_STDERR},{filter_name}")
            yield MetricValue(
                task=name,
                metric=metric,
                filter=filter_name,
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, int | float) else None,
                count=_count(results, name),
            )


def _count(results: dict[str, Any], name: str) -> int:
    counts = results["n-samples"]
    members = results.get("group_subtasks", {}).get(name) or [name]
    return sum(counts[member]["effective"] if member in counts else _count(results, member) for member in members)


def headline(task: Task, metrics: tuple[MetricValue, ...]) -> MetricValue:
    """The one that the study declares for `task`.

    Raises:
        MeasurementError: if lm-eval does not report it.
    """
    for value in metrics:
        if (value.task, value.metric, value.filter) == (
            task.lm_eval_name,
            task.metric.name,
            task.metric.filter,
        ):
            return value
    found = ", ".join(sorted({f"{value.metric},{value.filter}" for value in metrics}))
    raise MeasurementError(
        f"task {task.key}: lm-eval reports no {task.metric.label}; it reports {found}: correct the study's metric"
    )


def compact(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    """What pairing and auditing need of a sample; the prompt is named by its hash."""
    kept = {"task": task, "doc_id": sample["doc_id"], "filter": sample["filter"]}
    kept |= {name: _plain(sample[name]) for name in sample["metrics"]}
    kept["target"] = sample["target"]
    kept["answers"] = sample["filtered_resps"]
    return kept | {name: sample[name] for name in ("doc_hash", "prompt_hash", "target_hash")}


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's, in pairs and lists too: lm-eval's mcc and f1 hold numpy.int64, which is no JSON."""
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
