"""Check lm-eval's samples: metrics must not be NaN, and a choice must not depend only on the order of the options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from glu_lib.errors import NotFiniteError

_REMEDY = "the model has collapsed beyond what this task can tell apart; leave it out at this level"


def check_samples(samples: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Check that no metric of a sample is NaN, and that each sample has an option with a finite log-probability.

    A single option may have the log-probability -inf, since it is then not chosen. If all options have it, lm-eval's
    `argmax` takes the first one, which is not an answer of the model.

    Args:
        samples: lm-eval's samples, by task.

    Raises:
        NotFiniteError: with the number of samples that have no choice, or have a metric that is NaN.
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
    """Number of items whose best options have equal log-probabilities; lm-eval takes the first of them."""
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
    """Whether a sample's answers are scores (log-probability, is greedy) of several options, all of them -inf."""
    if not isinstance(answers, list | tuple) or len(answers) < 2:
        return False
    return all(isinstance(answer, list | tuple) and answer and answer[0] == -math.inf for answer in answers)


def _holds_nan(value: Any) -> bool:
    """Whether a metric of a sample (a number, a pair or a list) contains NaN."""
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    return isinstance(value, float | np.floating) and math.isnan(value)
