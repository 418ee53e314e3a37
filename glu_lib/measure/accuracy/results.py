"""The result of scoring a task: every metric and every sample, extracted from lm-eval's result tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glu_lib.errors import MeasurementError
from glu_lib.results.collapse import LIMIT, Overflowed, as_recorded, is_unbounded
from glu_lib.study import Task
from glu_lib.study.settings import Attention, AttentionChoice

_STDERR = "_stderr"
_LABEL_DIGITS = 3  # a longer number may be the answer to a calculation


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number that lm-eval reports, with its (sub-)task, metric and filter; `stderr` is None if there is none.

    `is_collapsed` means that lower is better and `value` is infinite or too large for tables (see `collapse`).
    """

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    count: int
    is_collapsed: bool = False

    def recorded(self) -> dict[str, Any]:
        """The fields as a record holds them: finite numbers or null, and for a collapsed value its logarithm."""
        return asdict(self) | as_recorded(self.value, self.stderr, is_collapsed=self.is_collapsed)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one task: the headline value, every value, every sample.

    `count` is the number of scored samples, `expected` the number of requested ones. `num_fewshot` is the number of
    few-shot examples that lm-eval's tasks used. `generation_settings` holds the settings of the model's generation
    configuration that changed greedy answers. `truncated_prompts` and `cut_generations` count requests that did not
    fit into the context, `tied_items` items whose best options have equal scores. `batch_size` is the size that
    fitted into memory, `attention` the attention that computed, `attention_choice` the reason for it. `window_tokens`
    is the length of a window, None for tasks without windows. `results` and `raw_samples` are lm-eval's own tables as
    JSON values (`json_value`), for its own files.
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
    attention: Attention
    window_tokens: int | None
    results: dict[str, Any] = field(repr=False, compare=False)
    raw_samples: dict[str, list[dict[str, Any]]] = field(repr=False, compare=False)
    attention_choice: AttentionChoice | None = None


def metric_values(results: dict[str, Any]) -> Iterator[MetricValue]:
    """Flatten lm-eval's `{task: {'acc,none': value, 'acc_stderr,none': stderr}}`, including groups."""
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
    """Whether lower is better, from lm-eval, or from the metric's name if the parts of a group disagree."""
    higher = results.get("higher_is_better", {}).get(name, {}).get(metric)
    return is_unbounded(metric) if higher is None else not higher


def _count(results: dict[str, Any], name: str) -> int:
    counts = results["n-samples"]
    members = results.get("group_subtasks", {}).get(name) or [name]
    return sum(counts[member]["effective"] if member in counts else _count(results, member) for member in members)


def headline(task: Task, metrics: tuple[MetricValue, ...]) -> MetricValue:
    """The value of the headline metric that the study declares for `task`.

    Raises:
        MeasurementError: if lm-eval does not report this metric.
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
        f"task {task.key}: lm-eval does not report {task.metric.label}, only {found}; correct the metric in the study"
    )


def compact(task: str, sample: dict[str, Any], blind: dict[str, Any] | None = None) -> dict[str, Any]:
    """The parts of a sample that pairing and auditing need, with its controls.

    Texts of the data set are stored only as hashes: the prompt, and the target unless it is a label (a whole number).
    """
    kept = {"task": task, "doc_id": sample["doc_id"], "filter": sample["filter"]}
    kept |= {name: json_value(sample[name]) for name in sample["metrics"]}
    kept["target"] = label(sample["target"])
    kept["answers"] = json_value(sample["filtered_resps"])
    if blind is not None:
        kept["controls"] = json_value(blind)
    return kept | {name: sample[name] for name in ("doc_hash", "prompt_hash", "target_hash")}


def label(target: Any) -> int | str | None:
    """The target if it is a whole number of up to three digits, or such a number as text; else None."""
    value = json_value(target)
    return value if str(value).isdecimal() and len(str(value)) <= _LABEL_DIGITS else None


def json_value(value: Any) -> Any:
    """Convert a value of lm-eval to a JSON value, including the items of lists and dictionaries.

    NumPy scalars become Python numbers (mcc and f1 contain numpy.int64). Infinite numbers become the text "-inf" or
    "inf", because JSON has no infinity. Other values are returned unchanged.
    """
    if isinstance(value, np.generic):
        return json_value(value.item())
    if isinstance(value, float) and math.isinf(value):
        return str(float(value))
    if isinstance(value, dict):
        return {name: json_value(item) for name, item in value.items()}
    return [json_value(item) for item in value] if isinstance(value, list | tuple) else value
