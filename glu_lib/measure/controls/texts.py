"""Blind log-likelihoods: every token equally likely, token frequencies alone, always the same last word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from glu_lib.study import Metric


def continuation_controls(
    lm_eval_task: Any,
    metric: Metric,
    samples: Sequence[dict[str, Any]],
    tokens: Callable[[str], list[int]],
    size: int,
) -> Iterator[dict[str, Any]]:
    """`frequent` and `flat` of each item: the most frequent continuation as the answer; each token 1 / size.

    `frequent` has the log-likelihood of that answer's share of the items, or that of `flat` where it is wrong.
    """
    continuations = [sample["arguments"][0][1] for sample in samples]
    ((frequent, count),) = Counter(continuations).most_common(1)
    for sample, continuation in zip(samples, continuations, strict=True):
        flat = -len(tokens(continuation)) * math.log(size)
        is_right = continuation == frequent
        blind = math.log(count / len(samples)) if is_right else flat
        yield {
            "frequent": lm_eval_task.process_results(sample["doc"], [(blind, is_right)])[metric.name],
            "flat": lm_eval_task.process_results(sample["doc"], [(flat, False)])[metric.name],
        }


def text_controls(
    lm_eval_task: Any,
    metric: Metric,
    samples: Sequence[dict[str, Any]],
    tokens: Callable[[str], list[int]],
    size: int,
) -> Iterator[dict[str, Any]]:
    """`flat` and `unigram` of each text: each token 1 / size; each token by its frequency in the other texts.

    The unigram model leaves the scored text out and adds one to every count (Laplace), so that it is one for any
    number of texts.
    """
    texts = [tokens(sample["arguments"][0][0]) for sample in samples]
    whole = Counter(token for ids in texts for token in ids)
    total = sum(whole.values())
    for sample, ids in zip(samples, texts, strict=True):
        own = Counter(ids)
        others = total - len(ids) + size
        unigram = sum(count * math.log((whole[token] - count + 1) / others) for token, count in own.items())
        flat = -len(ids) * math.log(size)
        yield {
            "flat": lm_eval_task.process_results(sample["doc"], [flat])[metric.name],
            "unigram": lm_eval_task.process_results(sample["doc"], [unigram])[metric.name],
        }
