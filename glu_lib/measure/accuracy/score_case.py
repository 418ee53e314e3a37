"""An accuracy case on a prepared model: earlier answers taken up, the rest scored, its work measured, all checked."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.accuracy.evaluate import evaluate_task
from glu_lib.measure.accuracy.results import Evaluation
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.energy.work import WorkWindows
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.results.recorded_energy import check_energy
from glu_lib.results.unfinished import Answers
from glu_lib.study import Task
from glu_lib.study.settings import Settings

_RESUMED = "the case was interrupted: this window holds only what was left of it"
_OUT_OF_MEMORY = "memory ran out within the case: a part of its work was done twice, in smaller batches"


def score_case(
    task: Task,
    prepared: PreparedModel,
    answers: Answers,
    meter: EnergyMeter,
    library: TaskLibrary,
    settings: Settings,
) -> tuple[dict[str, Any], Evaluation]:
    """Score `task` on a model.

    Args:
        task: what to score.
        prepared: the pruned model.
        answers: what interrupted runs left, and where this run keeps its own.
        meter: of the energy windows.
        library: where loaded tasks are kept.
        settings: seed, limit and scorer.

    Returns:
        The parts of a record (`score`, `energy`, `conditions`, `runtime`, `resumed`), and all that scoring gave. The
        energy windows hold the model's work only, so that every level's hold the same: requests are built and
        tokenized, metrics computed outside of them. Joules are null, with the reason, where that cannot be: of a
        resumed case, beside others at work (unless that is allowed), where memory ran out.

    Raises:
        AccessError: if the task's data cannot be had.
        MeasurementError: if the measurement is incomplete or impossible.
        RecordError: if answers cannot be kept.
    """
    library.load(task, seed=settings.seed)
    lm = prepared.lm
    windows, batch_size = WorkWindows(meter, prepared.loaded.model.device), lm.batch_size
    lm.work_window = windows.open
    try:
        evaluation = evaluate_task(lm, library, task, seed=settings.seed, limit=settings.limit, answers=answers)
    finally:
        lm.work_window = nullcontext
    check_evaluation(task, evaluation, settings.limit)
    resumed = answers.resumed()
    shrank = evaluation.batch_size != batch_size
    energy = windows.result(_no_energy(windows, settings, is_resumed=bool(resumed), shrank=shrank)).as_dict()
    check_energy(energy)
    parts = {
        "score": task_fields(task, evaluation),
        "energy": energy,
        "conditions": windows.conditions(),
        # What fitted: a batch that did not is halved while the task is scored.
        "runtime": {
            "threads": prepared.threads,
            "batch_size": evaluation.batch_size,
            "scorer": str(settings.scorer),
        },
        "resumed": resumed,
    }
    return parts, evaluation


def _no_energy(windows: WorkWindows, settings: Settings, *, is_resumed: bool, shrank: bool) -> str | None:
    """Why the windows of a case are not its energy; None if they are."""
    if is_resumed:
        return _RESUMED
    if shrank:
        return _OUT_OF_MEMORY
    shared_with = windows.conditions()["shared_with"]
    if shared_with and not settings.allow_shared:
        return f"beside {' and '.join(shared_with)}; let them end and use --rerun, or take it with --allow-shared"
    return None


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
