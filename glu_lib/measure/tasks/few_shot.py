"""Few-shot examples: that lm-eval uses as many as the study says, and where it draws them from."""

from __future__ import annotations

from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import Task

WHOLE_TEXTS = "loglikelihood_rolling"  # lm-eval's output type of texts that stand alone


def set_few_shot(task: Task, lm_eval_task: Any) -> None:
    """Give lm-eval's task the study's number of examples, and see that it will use just so many.

    A task whose own configuration says 0 keeps 0: lm-eval's rule.

    Args:
        task: of the study.
        lm_eval_task: one of its lm-eval tasks, loaded; it is changed.

    Raises:
        StudyError: if it uses another number, has too few examples, or would show an item its own answer.
    """
    if lm_eval_task.get_config("num_fewshot") != 0:
        lm_eval_task.set_config(key="num_fewshot", value=task.num_fewshot)
    name = str(lm_eval_task.get_config("task"))
    check_few_shot(task, name, lm_eval_task.get_config("num_fewshot"), lm_eval_task.get_config("output_type"))
    if task.num_fewshot:
        _check_pool(task, name, lm_eval_task)


def check_few_shot(task: Task, name: str, own: int | None, output_type: str | None) -> None:
    """Compare the study's number of examples with what lm-eval's configuration allows.

    Args:
        task: of the study.
        name: of the lm-eval task, which may be one of a group.
        own: number of examples that its configuration says; None if it leaves the number open.
        output_type: what the task asks of a model.

    Raises:
        StudyError: naming both numbers and the remedy.
    """
    if task.num_fewshot and own == 0:
        raise StudyError(
            f"task {task.key}: {task.num_fewshot} few-shot examples are asked, lm-eval's {name} always uses 0; "
            "set num_fewshot = 0"
        )
    if task.num_fewshot and output_type == WHOLE_TEXTS:
        raise StudyError(
            f"task {task.key}: {task.num_fewshot} few-shot examples are asked, lm-eval's {name} scores whole texts "
            "without any; set num_fewshot = 0"
        )


def _check_pool(task: Task, name: str, lm_eval_task: Any) -> None:
    """See that there are enough examples, and that an item never meets itself among them.

    lm-eval (0.4.13, `ConfigurableTask.fewshot_context`) takes the item out of its own examples only where the
    few-shot split and the test split have the same name in the task's configuration.
    """
    from lm_eval.api.samplers import FirstNSampler

    sampler = getattr(lm_eval_task, "sampler", None)
    if sampler is None:  # a task of Python code that draws its examples itself
        return
    takes_itself_out = lm_eval_task.fewshot_cfg.split == lm_eval_task.config.test_split
    from_scored = _few_shot_split(lm_eval_task) == _scored_split(lm_eval_task)
    if from_scored and not takes_itself_out:
        raise StudyError(
            f"task {task.key}: lm-eval's {name} draws its few-shot examples from the items that it scores, so that an "
            "item may be shown its own answer; set num_fewshot = 0"
        )
    # The default sampler draws one more than it needs wherever it may have to take one out.
    spare = takes_itself_out and (from_scored or not isinstance(sampler, FirstNSampler))
    there = len(sampler.fewshot_docs()) - spare
    if task.num_fewshot > there:
        raise StudyError(
            f"task {task.key}: {task.num_fewshot} few-shot examples are asked, lm-eval's {name} has {there} to draw "
            "from; lower num_fewshot"
        )


def _few_shot_split(lm_eval_task: Any) -> str | None:
    """Name of the split that examples come from, by lm-eval's rules; None where they are listed one by one."""
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
