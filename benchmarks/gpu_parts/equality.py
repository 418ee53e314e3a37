"""Whether both scorers say the same in float32, on a few requests of every shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from glu_lib.measure.scoring.made_up_requests import Shape
from glu_lib.study.settings import DType
from gpu_parts.bench import Bench, Network
from gpu_parts.plan import GENERATED, SCORED, Unit
from gpu_parts.scorers import Who, ask, equal_count, fitting, largest_difference, make_scorer, requests_of

TOLERANCE = 1e-4  # relative; float32 has 24 bits, and a sum over a layer loses some of them
_DOCUMENTS = 3
_NEW_TOKENS = 16


def measure_equality(bench: Bench, unit: Unit) -> dict[str, Any]:
    """Largest relative difference of log-likelihoods per shape, and equal greedy flags and texts, in float32.

    `is_equal`: all differences are below the tolerance, and all flags and texts are equal.
    """
    assert unit.model is not None
    network = bench.network(unit.model, DType.FLOAT32)
    shapes = {shape.name: _compare(network, shape) for shape in (*SCORED, *GENERATED)}
    return {
        "dtype": str(DType.FLOAT32),
        "tolerance": TOLERANCE,
        "shapes": shapes,
        "is_equal": all(map(_is_equal, shapes.values())),
    }


def _compare(network: Network, shape: Shape) -> dict[str, Any]:
    """Both scorers on a few requests of a shape. A rolling log-likelihood has neither a greedy flag nor a text."""
    small = replace(shape, families=1, documents=_DOCUMENTS)
    is_text, is_rolling = shape.method == "generate_until", shape.method == "loglikelihood_rolling"
    requests = requests_of(small, network.words, seed=0, new_tokens=_NEW_TOKENS if is_text else None)
    ours, theirs = (fitting(partial(_answers, who, network, small, requests)) for who in Who)
    return {
        "requests": len(requests),
        "largest_relative_difference": None if is_text else largest_difference(ours, theirs),
        "equal": None if is_rolling else equal_count(ours, theirs),
    }


def _answers(who: Who, network: Network, shape: Shape, requests: Sequence[Any], batch_size: int) -> list[Any]:
    return ask(make_scorer(who, network, batch_size), shape, requests)


def _is_equal(found: dict[str, Any]) -> bool:
    is_near = (found["largest_relative_difference"] or 0.0) < TOLERANCE
    return is_near and found["equal"] in (None, found["requests"])
