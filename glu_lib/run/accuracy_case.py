"""An accuracy case: score its task, and write its record, its samples and lm-eval's own files."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from glu_lib.errors import NotFiniteError
from glu_lib.measure.accuracy.results import Evaluation
from glu_lib.measure.accuracy.score_case import score_case
from glu_lib.measure.prepared import PreparedModel
from glu_lib.results.records import Record
from glu_lib.run.experiment import Experiment
from glu_lib.run.lm_eval_files import remove_lm_eval_files, run_fields, write_lm_eval_files
from glu_lib.study import CHAT_DATE, Task
from glu_lib.study.cases import Case


def record_accuracy(experiment: Experiment, case: Case, task: Task, prepared: PreparedModel) -> Record:
    """Score `task`, the subject of `case`, and return the record as written.

    The answers of an interrupted run are taken over from the case's journal, which is deleted at the end.

    Raises:
        MeasurementError: if the measurement is incomplete or impossible; nothing is recorded.
        RecordError: if the record or lm-eval's files cannot be written.
    """
    started_at, start_s = datetime.now(UTC), time.perf_counter()
    recorder = experiment.recorder
    answers = recorder.journal(case, started_at)
    try:
        parts, evaluation = score_case(
            task, prepared, answers, experiment.meter, experiment.library, experiment.settings
        )
    except NotFiniteError as error:
        raise NotFiniteError(f"{case.group}, {error}") from error
    _write_lm_eval_files(experiment, case, task, prepared, evaluation, started_at, start_s)
    parts["timing"] = {"load_s": prepared.loaded.load_s}
    parts["memory"] = prepared.memory
    duration_s = time.perf_counter() - start_s + (parts["resumed"]["seconds"] if parts["resumed"] else 0.0)
    record = recorder.write(case, prepared.pruning, started_at, duration_s, parts, evaluation.samples)
    answers.remove()
    return record


def _write_lm_eval_files(
    experiment: Experiment,
    case: Case,
    task: Task,
    prepared: PreparedModel,
    evaluation: Evaluation,
    started_at: datetime,
    start_s: float,
) -> None:
    settings, identity = experiment.settings, experiment.identities.of(case.model)
    folder = experiment.store.lm_eval_folder(experiment.states.address(case))
    if not settings.lm_eval_files:
        remove_lm_eval_files(folder)
        return
    experiment.recorder.make_room(folder)
    fields = run_fields(identity, prepared, experiment.environment, settings, started_at)
    items = settings.items.of(task)
    fields["config"]["limit"] = None if items.indices else task.limited(items.limit)
    fields["config"]["samples"] = dict(items.indices) or items.subset
    fields["config"]["chat_date"] = CHAT_DATE.isoformat() if task.is_chat else None  # given to templates that ask
    if case.pruning.control:
        fields["config"]["model_args"] += f",control={case.pruning.control}"
    name = f"{identity.source}-{case.pruning.key}"
    write_lm_eval_files(folder, name, task, evaluation, prepared.lm, fields, start_s=start_s)
