"""Few-shot examples: set and check their number, and the split that lm-eval draws them from."""

from __future__ import annotations

from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import Task

WHOLE_TEXTS = "loglikelihood_rolling"  # lm-eval's output type for texts without a context


def set_few_shot(task: Task, lm_eval_task: Any) -> None:
    """Set the study's few-shot count on an lm-eval task, and check that lm-eval will use this number.

    If the task's own configuration says 0, lm-eval always uses 0.

    Args:
        task: the study's task.
        lm_eval_task: one of its loaded lm-eval tasks; changed in place.

    Raises:
        StudyError: if lm-eval would use another number, has too few examples, or could show an item its own answer.
    """
    if lm_eval_task.get_config("num_fewshot") != 0:
        lm_eval_task.set_config(key="num_fewshot", value=task.num_fewshot)
    name = str(lm_eval_task.get_config("task"))
    check_few_shot(task, name, lm_eval_task.get_config("num_fewshot"), lm_eval_task.get_config("output_type"))
    if task.num_fewshot:
        _check_pool(task, name, lm_eval_task)


def check_few_shot(task: Task, name: str, own: int | None, output_type: str | None) -> None:
    """Compare the study's few-shot count with lm-eval's configuration.

    Args:
        task: the study's task.
        name: name of the lm-eval task, which may be a member of a group.
        own: few-shot count in its configuration; None if it sets none.
        output_type: lm-eval's output type of the task.

    Raises:
        StudyError: naming the mismatch and the remedy.
    """
    if task.num_fewshot and own == 0:
        raise StudyError(
            f"task {task.key}: num_fewshot is {task.num_fewshot}, but lm-eval's {name} always uses 0 examples; "
            "set num_fewshot = 0"
        )
    if task.num_fewshot and output_type == WHOLE_TEXTS:
        raise StudyError(
            f"task {task.key}: num_fewshot is {task.num_fewshot}, but lm-eval's {name} scores whole texts without "
            "examples; set num_fewshot = 0"
        )


def _check_pool(task: Task, name: str, lm_eval_task: Any) -> None:
    """Check that there are enough examples, and that an item is never its own example.

    lm-eval (0.4.13, `ConfigurableTask.fewshot_context`) removes the scored item from its examples only if the few-shot
    split and the test split have the same name in the task's configuration.
    """
    from lm_eval.api.samplers import FirstNSampler

    sampler = getattr(lm_eval_task, "sampler", None)
    if sampler is None:  # a task written in Python that draws its examples itself
        return
    takes_itself_out = lm_eval_task.fewshot_cfg.split == lm_eval_task.config.test_split
    from_scored = _few_shot_split(lm_eval_task) == _scored_split(lm_eval_task)
    if from_scored and not takes_itself_out:
        raise StudyError(
            f"task {task.key}: lm-eval's {name} draws few-shot examples from the scored items, so that an item may be "
            "its own example; set num_fewshot = 0"
        )
    # If the scored item may have to be removed, the default sampler draws one example more than it needs.
    spare = takes_itself_out and (from_scored or not isinstance(sampler, FirstNSampler))
    there = len(sampler.fewshot_docs()) - spare
    if task.num_fewshot > there:
        raise StudyError(
            f"task {task.key}: num_fewshot is {task.num_fewshot}, but lm-eval's {name} has only {there} to draw from; "
            "lower num_fewshot"
        )


def _few_shot_split(lm_eval_task: Any) -> str | None:
    """Name of the split that lm-eval draws examples from; None if the configuration lists the examples."""
    config = lm_eval_task.config
    if (split := lm_eval_task.fewshot_cfg.split) is not None:
        return str(split)
    if config.fewshot_config is not None and lm_eval_task.fewshot_cfg.samples is not None:
        return None
    found = next(
        (split for split in (config.training_split, config.validation_split, config.test_split) if split is not None),
        None,
    )
    return None if found is None else str(found)


def _scored_split(lm_eval_task: Any) -> str:
    config = lm_eval_task.config
    return str(config.test_split if config.test_split is not None else config.validation_split)
