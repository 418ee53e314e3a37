"""What scoring a task gave: every metric as a number, every sample, out of lm-eval's result tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glu_lib.errors import MeasurementError
from glu_lib.results.collapse import LIMIT, Overflowed, as_recorded, is_unbounded
from glu_lib.study import Task

_STDERR = "_stderr"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number lm-eval reports: of which (sub-)task, metric and filter; stderr None where it has none.

    `is_collapsed`: lower is better, and `value` is infinite or above what tables can hold (see `collapse`).
    """

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    count: int
    is_collapsed: bool = False

    def recorded(self) -> dict[str, Any]:
        """What a record holds of it: finite numbers or null; of a collapsed value the logarithm."""
        return asdict(self) | as_recorded(self.value, self.stderr, is_collapsed=self.is_collapsed)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one task gave: the headline value, every value, every sample.

    `count` is the number of samples scored, `expected` the number asked for. `num_fewshot` is the number of examples
    that lm-eval's tasks used, `generation_settings` what the model's own generation configuration changed of greedy
    answers. `truncated_prompts` and
    `cut_generations` are requests that did not fit, `batch_size` is what fitted into memory. `results`
    and `raw_samples` are lm-eval's own, for its own files (`json_value`).
    """

    headline: MetricValue
    metrics: tuple[MetricValue, ...]
    samples: tuple[dict[str, Any], ...]
    count: int
    expected: int
    num_fewshot: int
    generation_settings: dict[str, Any]
    task_versions: dict[str, str]
    truncated_prompts: int
    cut_generations: int
    unknown_requests: int
    tied_items: int
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
                value=value if isinstance(value, Overflowed) else float(value),
                stderr=float(stderr) if isinstance(stderr, int | float) else None,
                count=_count(results, name),
                is_collapsed=bool(value > LIMIT) and _lower_is_better(results, name, metric),
            )


def _lower_is_better(results: dict[str, Any], name: str, metric: str) -> bool:
    """lm-eval's word on it; where it has none (parts of a group that differ), by the metric's name."""
    higher = results.get("higher_is_better", {}).get(name, {}).get(metric)
    return is_unbounded(metric) if higher is None else not higher


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


def compact(task: str, sample: dict[str, Any], blind: dict[str, Any] | None = None) -> dict[str, Any]:
    """What pairing and auditing need of a sample, with its controls; the prompt is named by its hash."""
    kept = {"task": task, "doc_id": sample["doc_id"], "filter": sample["filter"]}
    kept |= {name: json_value(sample[name]) for name in sample["metrics"]}
    kept["target"] = sample["target"]
    kept["answers"] = json_value(sample["filtered_resps"])
    if blind is not None:
        kept["controls"] = json_value(blind)
    return kept | {name: sample[name] for name in ("doc_hash", "prompt_hash", "target_hash")}


def json_value(value: Any) -> Any:
    """A value of lm-eval's as JSON has it, in lists and dictionaries too; what is neither stays as it is.

    NumPy's scalars become Python's (mcc and f1 hold numpy.int64); an infinite number, which JSON does not have, becomes
    the text "-inf" or "inf".
    """
    if isinstance(value, np.generic):
        return json_value(value.item())
    if isinstance(value, float) and math.isinf(value):
        return str(float(value))
    if isinstance(value, dict):
        return {name: json_value(item) for name, item in value.items()}
    return [json_value(item) for item in value] if isinstance(value, list | tuple) else value
