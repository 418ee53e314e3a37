"""Log-likelihoods in the shape of a task: both scorers, their speed as a share of the measured product rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.made_up_requests import needed_tokens
from glu_lib.study.settings import DType
from gpu_parts.bench import Bench
from gpu_parts.floors import Floor, matmul_flop_per_s, scoring_floor
from gpu_parts.plan import Unit
from gpu_parts.scorers import Scored, Who, equal_count, largest_difference, requests_of, scaled, score

_ROUNDS = 3
_ROUND_S = 4.0  # aim of a round of the slower scorer on a GPU, so that starting up does not count
_MOST_TIMES = 32.0  # documents of the shape
_TINY_TIMES = 0.25


def measure_scorer(bench: Bench, unit: Unit) -> dict[str, Any]:
    """Seconds, tokens per second and shares of both scorers on the same requests, fastest of three rounds.

    Tokens are the least number that the requests need (each distinct prefix once), for both scorers: so their tokens
    per second are as their times. The share is `scoring_floor` over the time at the measured product rate.

    Raises:
        MeasurementError: if the suite's scorer left the work to `HFLM`.
    """
    assert unit.model is not None
    assert unit.shape is not None
    network = bench.network(unit.model)
    shape = scaled(unit.shape, _times(bench, unit))
    requests = requests_of(shape, network.words, seed=0)
    ours, theirs = (score(who, network, shape, requests, _ROUNDS) for who in Who)
    tokens = needed_tokens(ours.lm, shape, requests)
    if not tokens:
        raise MeasurementError("the suite's scorer left this model to HFLM: see its warning in the log")
    floor = scoring_floor(network.shape, shape, tokens)
    return {
        "dtype": str(network.dtype),
        "shape": {"name": shape.name, "documents": shape.families * shape.documents, "requests": len(requests)},
        "least_tokens": tokens,
        "least_flop": floor.flop,
        "ours": {**figures(ours, tokens, floor, bench.rates, network.dtype), "forwarded": ours.lm.forwarded_tokens},
        "hflm": figures(theirs, tokens, floor, bench.rates, network.dtype),
        "times_faster": theirs.times.fastest_s / ours.times.fastest_s,
        "largest_relative_difference": largest_difference(ours.values, theirs.values),
        "equal_greedy_flags": None if shape.method.endswith("rolling") else equal_count(ours.values, theirs.values),
    }


def figures(scored: Scored, tokens: int, floor: Floor, rates: Mapping[str, Any] | None, dtype: DType) -> dict[str, Any]:
    """A scorer's figures; `product_share` is None without a measured rate."""
    seconds = scored.times.fastest_s
    flop_per_s = matmul_flop_per_s(rates, dtype)
    return {
        **scored.times.as_dict(),
        "tokens_per_s": tokens / seconds,
        "product_share": None if flop_per_s is None else floor.flop / seconds / flop_per_s,
        "peak_bytes": scored.peak_bytes,
        "batch_size": scored.batch_size,
    }


def _times(bench: Bench, unit: Unit) -> float:
    """How many times the shape's documents: on a GPU as many as take a round of `HFLM` a few seconds."""
    if bench.setup.is_tiny:
        return _TINY_TIMES
    if not bench.setup.on_gpu:
        return 1.0
    assert unit.model is not None
    assert unit.shape is not None
    network, shape = bench.network(unit.model), unit.shape
    pilot = score(Who.HFLM, network, shape, requests_of(shape, network.words, seed=1), count=1)
    return times_for(pilot.times.fastest_s)


def times_for(pilot_s: float) -> float:
    """Times of the documents so that a round takes _ROUND_S, from one to _MOST_TIMES."""
    return min(_MOST_TIMES, max(1.0, _ROUND_S / pilot_s))
