"""Blind answers to a choice of options: any one, the longest, the shortest, the one that a flat model prefers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from glu_lib.study import Metric

_REJECTED = -1e9  # log-likelihood of an option that is not chosen: exp gives 0, also divided by a length


def choice_controls(
    lm_eval_task: Any,
    metric: Metric,
    samples: Sequence[dict[str, Any]],
    tokens: Callable[[str], list[int]],
    size: int,
) -> Iterator[dict[str, Any]]:
    """`choose`, `longest`, `shortest` and `flat` of each item.

    `choose` is scored with all probability on one option, so that its mean is the score of a random choice; of
    TruthfulQA's mc2 that is the share of true options, which equal probabilities give too. `flat` gives each token
    the probability 1 / size: by acc it chooses the option of fewest tokens, of several the first.
    """
    count = lru_cache(maxsize=100_000)(lambda text: len(tokens(text)))
    for sample in samples:
        doc, requests = sample["doc"], sample["arguments"]
        options = _options(lm_eval_task, doc, requests)
        extra = len(requests) - len(options)  # unconditional log-likelihoods, of acc_mutual_info
        lengths = [len(option) for option in options]

        def scored(log_likelihoods: Sequence[float], doc: Any = doc, extra: int = extra) -> Any:
            results = [(value, value == 0) for value in (*log_likelihoods, *[0.0] * extra)]
            return lm_eval_task.process_results(doc, results)[metric.name]

        numbers = range(len(options))
        yield {
            "choose": [scored([0.0 if other == number else _REJECTED for other in numbers]) for number in numbers],
            "longest": max(numbers, key=lengths.__getitem__),
            "shortest": min(numbers, key=lengths.__getitem__),
            "flat": scored([-count(request[1]) * math.log(size) for request in requests[: len(options)]]),
        }


def _options(lm_eval_task: Any, doc: Any, requests: Sequence[tuple[str, str]]) -> list[str]:
    """The options' texts; by a task class of its own that has no `doc_to_choice`, the continuations."""
    if lm_eval_task.get_config("doc_to_choice") is None:
        return [continuation for _, continuation in requests]
    return [str(option) for option in lm_eval_task.doc_to_choice(doc)]
