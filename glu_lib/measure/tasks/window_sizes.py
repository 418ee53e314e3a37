"""How many tokens a window of a task has, and whether it fits into the model's context. Needs no lm-eval."""

from __future__ import annotations

from glu_lib.errors import MeasurementError
from glu_lib.study import CONTEXT, Task


def window_size(task: Task, context: int) -> int:
    """Tokens of a window of `task`.

    Args:
        task: a task with a window.
        context: the model's context in tokens.

    Raises:
        MeasurementError: if a window is longer than the context.
    """
    size = context if task.window == CONTEXT else int(task.window or 0)
    if size > context:
        raise MeasurementError(
            f"task {task.key}: its windows have {size} tokens, and the model's context has {context}; choose a shorter "
            f'window, or window = "{CONTEXT}", in a study file, or leave the task out, with -k "not {task.key}"'
        )
    return size
