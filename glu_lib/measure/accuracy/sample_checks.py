"""Whether what lm-eval made of a model's log-probabilities are numbers, and answers were chosen by more than order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from glu_lib.errors import NotFiniteError

_REMEDY = "the model has collapsed beyond what this task can tell apart; leave it out at this level"


def check_samples(samples: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Let pass samples whose metrics are numbers; -inf, the log-probability of what cannot be, is one.

    An option whose log-probability is -inf is not chosen. Where all options have it, lm-eval's `argmax` takes the
    first: an answer that the model did not give.

    Args:
        samples: lm-eval's, by task.

    Raises:
        NotFiniteError: naming how many samples have no choice, or a metric that is NaN.
    """
    every = [sample for found in samples.values() for sample in found]
    if unchosen := sum(_has_no_choice(sample["filtered_resps"]) for sample in every):
        raise NotFiniteError(
            f"all options of {unchosen} of {len(every)} samples have a log-probability of -inf; {_REMEDY}"
        )
    names = sorted({name for sample in every for name in sample["metrics"]})
    for name in names:
        if broken := sum(name in sample["metrics"] and _holds_nan(sample[name]) for sample in every):
            raise NotFiniteError(f"{name} of {broken} of {len(every)} samples is NaN; {_REMEDY}")


def count_ties(samples: Mapping[str, Iterable[Mapping[str, Any]]]) -> int:
    """Items whose best options have the same log-probability: lm-eval takes the first of them for the answer."""
    tied = {
        (name, sample["doc_id"])
        for name, found in samples.items()
        for sample in found
        if _is_tied(sample["filtered_resps"])
    }
    return len(tied)


def _is_tied(answers: Any) -> bool:
    if not isinstance(answers, list | tuple) or len(answers) < 2:
        return False
    if not all(isinstance(answer, list | tuple) and len(answer) == 2 for answer in answers):
        return False
    scores = sorted(answer[0] for answer in answers)
    return bool(scores[-1] == scores[-2])


def _has_no_choice(answers: Any) -> bool:
    """Whether a sample's answers are the scores (log-probability, is greedy) of several options, all of them -inf."""
    if not isinstance(answers, list | tuple) or len(answers) < 2:
        return False
    return all(isinstance(answer, list | tuple) and answer and answer[0] == -math.inf for answer in answers)


def _holds_nan(value: Any) -> bool:
    """Whether a metric of a sample (a number, a pair, a list) holds NaN anywhere."""
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    return isinstance(value, float | np.floating) and math.isnan(value)
