"""Evaluation: a task's requests, scored by the model in memory through lm-eval, and what came of it."""

from glu_lib.evaluation.evaluate import BOOTSTRAP_ITERATIONS, answers_do_not_fit, evaluate_task, wrap_model
from glu_lib.evaluation.results import Evaluation, MetricValue
from glu_lib.evaluation.task_library import TaskLibrary, task_data_digest

__all__ = [
    "BOOTSTRAP_ITERATIONS",
    "Evaluation",
    "MetricValue",
    "TaskLibrary",
    "answers_do_not_fit",
    "evaluate_task",
    "task_data_digest",
    "wrap_model",
]
