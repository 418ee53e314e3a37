"""What a record holds, and the checks a measurement must pass before it becomes one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from glu_lib.errors import MeasurementError, RecordError
from glu_lib.machine.environment import Environment
from glu_lib.measure.accuracy.results import Evaluation
from glu_lib.models.pruning import PruningResult
from glu_lib.study import PromptFormat, Task
from glu_lib.study.cases import Case


def case_fields(case: Case) -> dict[str, Any]:
    """The case as JSON values: id, model, level, subject, suites."""
    return {
        "id": case.id,
        "model": case.model.key,
        "percent": case.pruning.percent,
        "level": case.pruning.key,
        "method": str(case.pruning.method) if case.pruning.percent else None,
        "divisor": case.pruning.divisor,
        "subject": case.subject_key,
        **({"prompt_format": str(case.subject.prompt_format)} if isinstance(case.subject, Task) else {}),
        "suites": list(case.suites),
    }


def build_record(
    case: Case,
    key: dict[str, Any],
    environment: Environment,
    pruning: PruningResult,
    **parts: Any,
) -> dict[str, Any]:
    """A record: what was measured, on what, and the done key it counts for. All values are JSON values."""
    return {
        "kind": str(case.kind),
        "case": case_fields(case),
        "done_key": key,
        "pruning": pruning.as_dict(),
        **parts,
        "environment": environment.as_dict(),
    }


def task_fields(task: Task, evaluation: Evaluation) -> dict[str, Any]:
    """Headline metric with its meaning, and every value lm-eval reported; finite numbers or null.

    A collapsed value is null, `is_collapsed` and its logarithm (`log_value`) stand beside it.
    """
    return {
        "headline": evaluation.headline.recorded()
        | {
            "label": task.metric.label,
            "higher_is_better": task.metric.higher_is_better,
            "chance": task.metric.chance,
        },
        "num_fewshot": evaluation.num_fewshot,
        "generation_settings": evaluation.generation_settings,
        "metrics": [value.recorded() for value in evaluation.metrics],
        "task_versions": evaluation.task_versions,
        "truncated_prompts": evaluation.truncated_prompts,
        "cut_generations": evaluation.cut_generations,
        "unknown_requests": evaluation.unknown_requests,
        "tied_items": evaluation.tied_items,
    }


def headline_differences(task: Task, score: Mapping[str, Any]) -> Iterator[str]:
    """Why the headline of a record's score is none of `task`: another metric, or another better side."""
    headline = score.get("headline")
    if not isinstance(headline, Mapping):
        yield "the record lacks a headline"
    elif headline.get("label") != task.metric.label:
        yield f"headline metric {str(headline.get('label'))[:40]} -> {task.metric.label}"
    elif headline.get("higher_is_better") != task.metric.higher_is_better:
        yield "another side of the headline metric is better"


def prompt_format(record: Mapping[str, Any]) -> PromptFormat:
    """How the prompts of an accuracy record reached the model.

    Records of early versions do not say it: their instruct variants had the chat template on every task.

    Raises:
        RecordError: if a chat template was applied to a task whose prompts are plain.
    """
    found = PromptFormat(record["case"].get("prompt_format", PromptFormat.PLAIN))
    if found is PromptFormat.PLAIN and record["done_key"].get("chat template") is not None:
        raise RecordError(
            f"{record['case']['id']}: scored with the chat template, which its name does not say; run the case again "
            "(plain prompts), or the task's chat variant"
        )
    return found


def check_evaluation(task: Task, evaluation: Evaluation, limit: int | None) -> None:
    """Let pass only a complete measurement whose headline is finite or has collapsed.

    Raises:
        MeasurementError: naming what is missing or impossible.
    """
    if evaluation.count == 0 or evaluation.count != evaluation.expected:
        raise MeasurementError(
            f"task {task.key}: {evaluation.count} of {evaluation.expected} samples were scored; run the case again"
        )
    if limit is not None and evaluation.count > limit * len(evaluation.task_versions):
        raise MeasurementError(f"task {task.key}: {evaluation.count} samples were scored, --limit {limit} was asked")
    if not math.isfinite(evaluation.headline.value) and not evaluation.headline.is_collapsed:
        raise MeasurementError(
            f"task {task.key}: {task.metric.label} is {evaluation.headline.value}; "
            "lm-eval's aggregation of these samples is no number; score more of them, or choose another metric"
        )


def check_energy(energy: dict[str, Any]) -> None:
    """Let pass only energies above zero, or null with a reason.

    Raises:
        MeasurementError: naming the part.
    """
    for name in ("gpu", "cpu", "ram"):
        part = energy[name]
        if part["energy_j"] is None and not part["reason"]:
            raise MeasurementError(f"energy of {name} is missing without a reason; report this as a bug")
        if part["energy_j"] is not None and not part["energy_j"] > 0:
            raise MeasurementError(f"energy of {name} is {part['energy_j']} J; it must be above 0 or null")
    if "total_j" in energy and energy["total_j"] is None and not energy["total_reason"]:
        raise MeasurementError("the total energy is missing without a reason; report this as a bug")
