"""Items of a case: per-item values of its headline metric and of its controls, from a record's samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glu_lib.analysis.aggregation import LONGEST_SHOWN, Aggregation, score_of_terms, terms_of
from glu_lib.errors import RecordError, one_line
from glu_lib.results.collapse import LIMIT
from glu_lib.results.records import AccuracyRecord, Headline

_TOLERANCE = 1e-6  # relative; a wrong aggregation differs by more, another order of summation by less
_LARGEST = 1e15  # of a control's values: log-likelihoods and shares are far below


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """The items of one case's headline metric, sorted by key.

    `keys` are (task, doc_id, filter), `hashes` the documents' hashes. `terms` (items, terms) are the summands of
    `aggregation`, `subtasks` (items,) the index of each item's sub-task, `weights` (sub-tasks,) the weights of the
    sub-tasks in the score of a group.
    `is_weighing_certain` is False if other weights give the recorded value as well: all sub-tasks have equal scores.
    `controls` are the terms (versions, items, terms) of blind answers by name: several versions of the shuffle, one of
    each other control. `wrong_control` says which control is malformed; then there are none.
    """

    case: str
    metric: str
    aggregation: Aggregation
    keys: tuple[tuple[str, Any, str], ...]
    hashes: tuple[str, ...]
    terms: np.ndarray
    subtasks: np.ndarray
    weights: np.ndarray
    is_weighing_certain: bool = True
    controls: Mapping[str, np.ndarray] = field(default_factory=dict)
    wrong_control: str = ""

    def score_of(self, terms: np.ndarray) -> float:
        """The score of other terms (items, terms) of the same items."""
        return score_of_terms(self.aggregation, terms, self.subtasks, self.weights)


def read_items(record: AccuracyRecord, samples: Sequence[dict[str, Any]]) -> Items:
    """The items of a record's headline metric.

    A group's score is the mean of its leaf tasks' scores, either weighted by their numbers of items or unweighted
    (`aggregate_subtask_metrics` of lm-eval 0.4.13, `weight_by_size`); the variant that gives the recorded value counts.

    Args:
        record: an accuracy record.
        samples: its samples, from `Store.read_samples`.

    Raises:
        RecordError: if samples are missing, repeated or of a kind that cannot be paired, or if they do not give the
            recorded value.
    """
    case, headline, count = record.case.id, record.score.headline, record.samples.count
    if len(samples) != count:
        raise RecordError(f"{case}: {len(samples)} samples, the record says {count}; run the case again")
    metric = headline.metric
    mine = [sample for sample in samples if sample["filter"] == headline.filter and metric in sample]
    mine.sort(key=_key)
    if not mine:
        raise RecordError(f"{case}: its samples lack {headline.label}; run the case again")
    keys = tuple(_key(sample) for sample in mine)
    if len(set(keys)) != len(keys):
        raise RecordError(f"{case}: a sample occurs twice; run the case again")
    aggregation, terms = terms_of(case, metric, [sample[metric] for sample in mine])
    _, subtasks = np.unique([sample["task"] for sample in mine], return_inverse=True)
    weights, is_certain = _weights(case, aggregation, terms, subtasks, headline)
    controls, wrong = _controls(case, metric, aggregation, [sample.get("controls") for sample in mine])
    return Items(
        case=case,
        metric=headline.label,
        aggregation=aggregation,
        keys=keys,
        hashes=tuple(sample["doc_hash"] for sample in mine),
        terms=terms,
        subtasks=subtasks,
        weights=weights,
        is_weighing_certain=is_certain,
        controls=controls,
        wrong_control=wrong,
    )


def items_of_controls(case: str, metric: str, samples: Sequence[dict[str, Any]]) -> Items:
    """Items of controls alone, without a model's answers; a group's sub-tasks count by their numbers of items.

    `terms` are those of the first control.
    """
    found = [sample["controls"] for sample in samples]
    first = next(iter(found[0]))
    aggregation, terms = terms_of(case, metric, [controls[first] for controls in found])
    _, subtasks = np.unique([sample["task"] for sample in samples], return_inverse=True)
    return Items(
        case=case,
        metric=metric,
        aggregation=aggregation,
        keys=tuple((sample["task"], sample["doc_id"], "") for sample in samples),
        hashes=("",) * len(samples),
        terms=terms,
        subtasks=subtasks,
        weights=np.bincount(subtasks).astype(float),
        controls=_controls(case, metric, aggregation, found)[0],
    )


def weighed_alike(items: Sequence[Items]) -> list[Items]:
    """The same task's items at several levels, those of uncertain weights with the weights of a level that tells."""
    certain = next((found.weights for found in items if found.is_weighing_certain), None)
    return [
        found
        if found.is_weighing_certain or certain is None or len(certain) != len(found.weights)
        else replace(found, weights=certain)
        for found in items
    ]


def _key(sample: dict[str, Any]) -> tuple[str, Any, str]:
    return (sample["task"], sample["doc_id"], sample["filter"])


def _controls(
    case: str, metric: str, aggregation: Aggregation, found: Sequence[dict[str, Any] | None]
) -> tuple[dict[str, np.ndarray], str]:
    """The terms of each control that all items have, or none and the reason why.

    Samples of versions without controls have none. They may come from anywhere: a name is one line, a value of the
    metric's form and not absurd.
    """
    if not found or not all(isinstance(controls, dict) and controls for controls in found):
        return {}, ""
    named = [controls for controls in found if controls]
    controls: dict[str, np.ndarray] = {}
    for name in named[0]:
        if not all(name in item for item in named):
            continue
        values = [item[name] for item in named]
        terms = _versions(case, metric, aggregation, name, values) if _is_name(name) else None
        if terms is None:
            shown = one_line(str(name))[:LONGEST_SHOWN]
            return {}, f"{case}: its control {shown!r} is no {metric}; blind score left out: run the case again"
        controls[name] = terms
    return controls, ""


def _is_name(name: str) -> bool:
    return len(name) <= LONGEST_SHOWN and name.isprintable()


def _versions(case: str, metric: str, aggregation: Aggregation, name: str, values: list[Any]) -> np.ndarray | None:
    """Terms (versions, items, terms) of one control: several versions of the shuffle, one of each other.

    None if they are not of the metric's form.
    """
    try:
        versions = list(zip(*values, strict=True)) if name == "shuffle" else [values]
        found = [terms_of(case, metric, list(version)) for version in versions]
        terms = np.stack([terms for _, terms in found])
    except (RecordError, ValueError, TypeError, OverflowError):
        return None
    is_fit = all(kind is aggregation for kind, _ in found) and bool((np.abs(terms) <= _LARGEST).all())
    return terms if is_fit else None


def _weights(
    case: str, aggregation: Aggregation, terms: np.ndarray, subtasks: np.ndarray, headline: Headline
) -> tuple[np.ndarray, bool]:
    """The weights (sub-tasks,) for which the items give the recorded value, and whether no others do."""
    sizes = np.bincount(subtasks).astype(float)
    fitting = [
        weights
        for weights in (sizes, np.ones_like(sizes))
        if _is_recorded(score_of_terms(aggregation, terms, subtasks, weights), headline)
    ]
    if fitting:
        return fitting[0], len(fitting) == 1 or len(set(sizes)) == 1
    said = "a collapse" if headline.value is None else f"{headline.value:.6g}"
    raise RecordError(
        f"{case}: its items give {score_of_terms(aggregation, terms, subtasks, sizes):.6g}, the record says {said}; "
        "this aggregation cannot be paired: compare the scores alone"
    )


def _is_recorded(value: float, headline: Headline) -> bool:
    """Whether a score equals the recorded value; collapsed values are compared by their logarithms, if known."""
    recorded = headline.value
    if headline.is_collapsed:
        logarithm = headline.log_value
        if value <= LIMIT or logarithm is None or math.isinf(value):
            return value > LIMIT
        value, recorded = math.log(value), logarithm
    return recorded is not None and bool(abs(value - recorded) <= _TOLERANCE * max(1.0, abs(recorded)))
