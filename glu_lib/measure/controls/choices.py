"""Blind answers to a choice of options: a random one, the longest, the shortest, always the same label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from glu_lib.measure.controls.scored import Scored

_REJECTED = -1e9  # log-likelihood of an option that is not chosen: exp gives 0, also divided by a length
_JITTER = 1e-9  # breaks ties of equal log-likelihoods
_FEWEST = 20  # items with the same options, before these count as labels
_LONGEST_LABEL = 40  # characters; longer options are texts


def choice_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """The controls of each item; of several options that a rule fits equally, the mean.

    `uniform`: a random option. `flat`: each token has the probability 1 / size, so that acc chooses the option of
    fewest tokens. `longest`, `shortest`: in characters. `longest in tokens`. `always <label>`: one option for all
    items, if all items have the same options. A position alone is no control: options are scored one by one, a model
    does not see their order.

    A metric that is a probability mass (TruthfulQA's mc2) has `uniform`, the share of true options, and `flat`: nothing
    is chosen. A metric of pairs (f1, mcc) has only the labels: a mean of pairs is none.
    """
    count = lru_cache(maxsize=100_000)(lambda text: len(scored.tokens(text)))
    all_options = [_options(scored.task, sample["doc"], sample["arguments"]) for sample in scored.samples]
    scorers = [
        _Scorer(scored, sample["doc"], len(sample["arguments"]) - len(options))
        for sample, options in zip(scored.samples, all_options, strict=True)
    ]
    chosen = [score.each_chosen(len(options)) for score, options in zip(scorers, all_options, strict=True)]
    is_number = isinstance(chosen[0][0], int | float | np.number)
    is_mass = is_number and any(
        0 < score(np.zeros(len(values))) < 1 for score, values in zip(scorers, chosen, strict=True)
    )
    labels = all_options[0] if _are_labels(all_options) else []
    for sample, options, score, values in zip(scored.samples, all_options, scorers, chosen, strict=True):
        found: dict[str, Any] = {}
        if not is_mass:
            found |= {f"always {label}": value for label, value in zip(labels, values, strict=True)} if labels else {}
        if is_number:
            in_tokens = np.array([count(request[1]) for request in sample["arguments"][: len(options)]])
            found |= {"uniform": float(np.mean(values)), "flat": _flat(score, -in_tokens * math.log(scored.size))}
        if is_number and not is_mass:
            characters = np.array([len(option) for option in options])
            found |= {
                "longest": _mean_where(values, characters == characters.max()),
                "shortest": _mean_where(values, characters == characters.min()),
                "longest in tokens": _mean_where(values, in_tokens == in_tokens.max()),
            }
        yield found


class _Scorer:
    """The metric of an item for given log-likelihoods of its options."""

    def __init__(self, scored: Scored, doc: Any, extra: int) -> None:
        """`extra` log-likelihoods follow those of the options: the unconditional ones of acc_mutual_info."""
        self._scored, self._doc, self._extra = scored, doc, extra

    def each_chosen(self, count: int) -> list[Any]:
        """The metric if all probability lies on one option, for each of `count`."""
        return [self(np.where(np.arange(count) == number, 0.0, _REJECTED)) for number in range(count)]

    def __call__(self, log_likelihoods: np.ndarray) -> Any:
        results = [(float(value), value == 0) for value in (*log_likelihoods, *[0.0] * self._extra)]
        return self._scored.value(self._doc, results)


def _flat(score: _Scorer, log_likelihoods: np.ndarray) -> float:
    """The mean over as many ways to break ties as there are options."""
    jitter = _JITTER * np.arange(len(log_likelihoods))
    return float(np.mean([score(log_likelihoods + np.roll(jitter, turn)) for turn in range(len(jitter))]))


def _mean_where(values: Sequence[Any], is_meant: np.ndarray) -> float:
    return float(np.array(values, dtype=float)[is_meant].mean())


def _options(lm_eval_task: Any, doc: Any, requests: Sequence[tuple[str, str]]) -> list[str]:
    """The options' texts; of a task class without `doc_to_choice`, the continuations."""
    if lm_eval_task.get_config("doc_to_choice") is None:
        return [continuation for _, continuation in requests]
    return [str(option) for option in lm_eval_task.doc_to_choice(doc)]


def _are_labels(options: Sequence[Sequence[str]]) -> bool:
    """Whether all items have the same options, each another short text; of a few items that may be chance."""
    first = list(options[0])
    is_same = len(options) >= _FEWEST and all(list(found) == first for found in options)
    return is_same and len(set(first)) == len(first) and all(0 < len(option) <= _LONGEST_LABEL for option in first)
