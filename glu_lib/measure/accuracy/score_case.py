"""Run an accuracy case on a prepared model: resume from its journal, score the rest, measure the work, check all."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.memory import peak_memory
from glu_lib.measure.accuracy.evaluate import evaluate_task
from glu_lib.measure.accuracy.results import Evaluation
from glu_lib.measure.energy.reading import check_energy
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.energy.work import WorkWindows
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.tasks.task_library import TaskLibrary
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
    """Score `task` on a model and measure the energy of the model's work.

    Args:
        task: the task to score.
        prepared: the pruned model.
        answers: journal of the case, with the answers of interrupted runs.
        meter: meter of the energy windows.
        library: cache of loaded tasks.
        settings: seed, limit and scorer.

    Returns:
        The parts of a record (`score`, `energy`, `conditions`, `runtime`, `resumed`, `scoring_memory`), and the
        evaluation. The energy windows contain only the model's work: requests are built and tokenized before them,
        metrics are computed after them. So windows of different levels contain the same kind of work. Joules are null,
        with the reason, if the case was resumed, if memory ran out, or if other processes were busy (unless that is
        allowed).

    Raises:
        AccessError: if the task's data cannot be loaded.
        MeasurementError: if the measurement is incomplete or impossible.
        RecordError: if the journal cannot be written.
    """
    library.load(task, seed=settings.seed)
    items = settings.items.of(task)
    lm, limit = prepared.lm, None if items.indices else task.limited(items.limit)
    windows, batch_size = WorkWindows(meter, prepared.loaded.model.device), lm.batch_size
    lm.work_window = windows.open
    try:
        with peak_memory(str(prepared.loaded.model.device)) as memory:
            evaluation = evaluate_task(lm, library, task, seed=settings.seed, limit=limit, items=items, answers=answers)
    finally:
        lm.work_window = nullcontext
    check_evaluation(task, evaluation, limit)
    resumed = answers.resumed()
    shrank = evaluation.batch_size != batch_size
    energy = windows.result(_no_energy(windows, settings, is_resumed=bool(resumed), shrank=shrank))
    check_energy(energy)
    parts = {
        "score": task_fields(task, evaluation),
        "energy": energy.as_dict(),
        "conditions": windows.conditions(),
        # The batch size that fitted into memory: it is halved during scoring if memory runs out.
        "runtime": {
            "threads": prepared.threads,
            "batch_size": evaluation.batch_size,
            "scorer": str(settings.scorer),
            "attention": str(evaluation.attention),
            "attention_choice": None if evaluation.attention_choice is None else str(evaluation.attention_choice),
        },
        "resumed": resumed,
        "scoring_memory": memory.as_dict(),
    }
    return parts, evaluation


def _no_energy(windows: WorkWindows, settings: Settings, *, is_resumed: bool, shrank: bool) -> str | None:
    """The reason why the energy windows do not give the energy of the case; None if they do."""
    if is_resumed:
        return _RESUMED
    if shrank:
        return _OUT_OF_MEMORY
    shared_with = windows.conditions()["shared_with"]
    if shared_with and not settings.allow_shared:
        others = " and ".join(shared_with)
        return f"beside {others}; let them end and use --rerun, or accept the figures with --allow-shared"
    return None


def task_fields(task: Task, evaluation: Evaluation) -> dict[str, Any]:
    """The headline metric with its label, direction and chance, and every value of lm-eval; finite numbers or null.

    A collapsed value is null, with `is_collapsed` and its logarithm `log_value` in the same table.
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
        "window_tokens": evaluation.window_tokens,
    }


def check_evaluation(task: Task, evaluation: Evaluation, limit: int | None) -> None:
    """Check that the measurement is complete and that the headline value is finite or collapsed.

    Raises:
        MeasurementError: naming what is missing or impossible.
    """
    if evaluation.count == 0 or evaluation.count != evaluation.expected:
        raise MeasurementError(
            f"task {task.key}: {evaluation.count} of {evaluation.expected} samples were scored; run the case again"
        )
    if limit is not None and evaluation.count > limit * len(evaluation.task_versions):
        raise MeasurementError(
            f"task {task.key}: {evaluation.count} samples were scored, more than its limit {limit}; report it as a bug"
        )
    if not math.isfinite(evaluation.headline.value) and not evaluation.headline.is_collapsed:
        raise MeasurementError(
            f"task {task.key}: {task.metric.label} is {evaluation.headline.value}; "
            "lm-eval's aggregate of these samples is not finite; score more samples, or choose another metric"
        )
