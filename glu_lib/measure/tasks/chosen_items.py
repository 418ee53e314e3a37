"""The items that lm-eval scores of a loaded task, as its `samples` argument."""

from __future__ import annotations

from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.study import Task
from glu_lib.study.items import Items, LimitFrom, spread


def chosen_items(task: Task, loaded: dict[str, Any], items: Items) -> dict[str, list[int]] | None:
    """The indices to score of each of lm-eval's tasks; None if the limit alone decides.

    Args:
        task: the task of the study.
        loaded: lm-eval's tasks by name, as `TaskLibrary.load` gives them.
        items: the items of the case. A subtask that a file does not name is scored whole, as lm-eval does.

    Raises:
        MeasurementError: if the file names an item that the data set lacks, or a subtask that the task lacks.
    """
    sizes = {name: len(found.eval_docs) for name, found in loaded["tasks"].items()}
    if items.indices:
        for name, indices in items.indices:
            if name not in sizes:
                raise MeasurementError(
                    f"task {task.key}: --samples names {name!r}, which is none of its subtasks; choose from "
                    f"{', '.join(list(sizes)[:4])}{', …' if len(sizes) > 4 else ''}"
                )
            if indices[-1] >= sizes[name]:
                raise MeasurementError(
                    f"task {task.key}: --samples names item {indices[-1]} of {name!r}, which has {sizes[name]} items, "
                    f"0 to {sizes[name] - 1}; correct the file"
                )
        return {name: list(indices) for name, indices in items.indices}
    if items.subset == LimitFrom.SPREAD and items.limit is not None:
        return {name: list(spread(size, items.limit)) for name, size in sizes.items()}
    return None
