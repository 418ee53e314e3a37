"""The controls of every scored item of a case, in the form that samples keep."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

from glu_lib.errors import one_line
from glu_lib.measure.controls.choices import choice_controls
from glu_lib.measure.controls.generated import generated_controls
from glu_lib.measure.controls.scored import Scored
from glu_lib.measure.controls.texts import continuation_controls, text_controls
from glu_lib.study import Task

Controls = dict[tuple[str, Any], dict[str, Any]]  # by task and doc_id

_BY_TYPE = {
    "multiple_choice": choice_controls,
    "generate_until": generated_controls,
    "loglikelihood": continuation_controls,
    "loglikelihood_rolling": text_controls,
}


def controls(
    task: Task,
    loaded: Any,
    raw_samples: dict[str, list[dict[str, Any]]],
    tokens: Callable[[str], list[int]],
    size: int,
    known: dict[str, list[dict[str, Any]]] | None = None,
) -> Controls:
    """The headline metric of blind answers to each item, by lm-eval's `process_results`.

    A blind answer does not follow the question: any option, the longest one, a full stop, the model's answer to another
    prompt. Nothing is computed by the model.

    Args:
        task: the study's task; its headline metric and filter are used.
        loaded: lm-eval's tasks, as `TaskLibrary.load` gives them.
        raw_samples: lm-eval's samples by (sub-)task.
        tokens: token ids of a text, without special tokens.
        size: rows of the LM head; a model that knows nothing gives each token the probability 1 / size.
        known: controls of the same requests with the same `tokens`, from other levels; new ones are added. Those of
            generated answers depend on the model's answers, and are not kept.

    Returns:
        For each item the metric of each control by its name, in the metric's own form; of `shuffle` a list. See
        `choice_controls`, `generated_controls`, `continuation_controls` and `text_controls` for the names.
    """
    found: Controls = {}
    for name, samples in raw_samples.items():
        lm_eval_task = loaded["tasks"][name]
        mine = [s for s in samples if s["filter"] == task.metric.filter and task.metric.name in s["metrics"]]
        kind = lm_eval_task.get_config("output_type")
        if not mine or kind not in _BY_TYPE:
            continue
        scored = Scored(lm_eval_task, task.metric, mine, tokens, size)
        key = "" if known is None or kind == "generate_until" else _requests_key(name, scored)
        try:
            values = (known or {}).get(key) or list(_BY_TYPE[kind](scored))
        except Exception as error:  # a task's own code, which meets answers here that no model gives
            warnings.warn(
                f"task {task.key}: blind answers cannot be scored ({type(error).__name__}: {one_line(str(error))}); "
                "its cases have no blind score",
                stacklevel=2,
            )
            return {}
        if known is not None and key:
            known[key] = values
        found |= {(name, sample["doc_id"]): value for sample, value in zip(mine, values, strict=True)}
    return found


def _requests_key(name: str, scored: Scored) -> str:
    """A digest of all that the controls of choices and texts depend on, but the tokenizer."""
    requests = [(sample["doc_id"], sample["doc_hash"], sample["arguments"]) for sample in scored.samples]
    parts = (name, scored.metric.name, scored.metric.filter, scored.size, requests)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
