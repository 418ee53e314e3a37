"""An accuracy case on a prepared model: earlier answers taken up, the rest scored in an energy window, all checked."""

from __future__ import annotations

from typing import Any

from glu_lib.answers import Answers
from glu_lib.energy import EnergyMeter, without_figures
from glu_lib.environment import count_workers
from glu_lib.evaluation import Evaluation, TaskLibrary, evaluate_task
from glu_lib.prepared import PreparedModel
from glu_lib.record import check_energy, check_evaluation, task_fields
from glu_lib.settings import Settings
from glu_lib.study import Task

_SHARED = "other workers of this run were at work on the machine"
_RESUMED = "the case was interrupted: this window holds only what was left of it"


def score_case(
    task: Task,
    prepared: PreparedModel,
    answers: Answers,
    meter: EnergyMeter,
    library: TaskLibrary,
    settings: Settings,
    *,
    chat_template: bool,
) -> tuple[dict[str, Any], Evaluation]:
    """Score `task` on a model.

    Args:
        task: what to score.
        prepared: the pruned model.
        answers: what interrupted runs left, and where this run keeps its own.
        meter: of the energy window.
        library: where loaded tasks are kept.
        settings: seed, limit and scorer.
        chat_template: apply the tokenizer's template.

    Returns:
        The parts of a record (`score`, `energy`, `runtime`, `resumed`), and all that scoring gave. A resumed case has
        no energy, with the reason: its window holds only a part of the work; nor has one beside other workers.

    Raises:
        AccessError: if the task's data cannot be had.
        MeasurementError: if the measurement is incomplete or impossible.
        RecordError: if answers cannot be kept.
    """
    # Loading data and libraries is not the case's work: it stays outside the window.
    library.load(task, seed=settings.seed)
    with meter.window(prepared.loaded.model.device) as window:
        evaluation = evaluate_task(
            prepared.lm,
            library,
            task,
            seed=settings.seed,
            limit=settings.limit,
            chat_template=chat_template,
            answers=answers,
        )
    check_evaluation(task, evaluation, settings.limit)
    resumed = answers.resumed()
    reason = _RESUMED if resumed else _SHARED if count_workers() > 1 else ""
    energy = (without_figures(window.result().window_s, reason) if reason else window.result()).as_dict()
    check_energy(energy)
    parts = {
        "score": task_fields(task, evaluation),
        "energy": energy,
        # What fitted: a batch that did not is halved while the task is scored.
        "runtime": {
            "threads": prepared.threads,
            "batch_size": evaluation.batch_size,
            "scorer": str(settings.scorer),
        },
        "resumed": resumed,
    }
    return parts, evaluation
