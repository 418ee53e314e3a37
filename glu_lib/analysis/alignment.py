"""Aligned versus plain widths: each level with and without rounding, time and energy paired by repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from glu_lib.analysis.efficiency import energy_quality, energy_sources
from glu_lib.analysis.table import LevelKey
from glu_lib.results.records import EnergyRecord, Repeat
from glu_lib.results.repeats import summarize

# The compared figures: label, and how to read the value from a repeat. The window holds many passes. Times of single
# tokens are medians over a few generations; the first token is prefill, the later tokens are decoding.
FIGURES: dict[str, tuple[str, Callable[[Repeat], float | None]]] = {
    "time_per_response_ms": (
        "time per response over the whole window, ms",
        lambda repeat: 1000 * repeat.energy.window_s / (repeat.passes * repeat.rows),
    ),
    "time_to_first_token_ms": ("prefill: time to first token, ms", lambda repeat: repeat.time_to_first_token_ms),
    "time_per_output_token_ms": ("decoding: time per output token, ms", lambda repeat: repeat.time_per_output_token_ms),
    "energy_per_response_j": ("joules per response", lambda repeat: repeat.energy_per_response_j),
}


_LARGEST_EXPONENT = 700.0  # exp() overflows a float at about 709; an interval that wide carries no information


@dataclass(frozen=True, slots=True)
class Ratio:
    """Geometric mean of the ratios of two measurements, repeats paired by seed, with its 95 % t-interval.

    exp(mean ± t·s/√n) over the ratios' logarithms: twice as slow and twice as fast are then equally far from 1, and the
    interval stays above 0. With one repeat the interval is None.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One figure of a workload at one level, with the plain width and with the width rounded down to `divisor`.

    `plain` and `aligned` are means over the repeats, in the unit of `figure`. `aligned_to_plain` is their ratio and
    `parameters_ratio` the ratio of the parameters. Rounding down also removes work, so alignment itself gains only if
    `aligned_to_plain` is below `parameters_ratio`. `plain_to_unpruned` and `aligned_to_unpruned` are ratios to the
    baseline (None without one): below 1, pruning reduced time or energy.
    """

    model: str
    workload: str
    level: LevelKey
    divisor: int
    figure: str
    energy_quality: str | None
    width: int
    aligned_width: int
    expansion_ratio: float
    plain: float
    aligned: float
    aligned_to_plain: Ratio
    parameters_ratio: float
    plain_to_unpruned: Ratio | None
    aligned_to_unpruned: Ratio | None


def aligned_pairs(records: Iterable[EnergyRecord]) -> list[AlignedPair]:
    """One pair per figure and level of each workload that was measured both plain and aligned, in the records' order.

    Two records are paired if their done keys differ only in the divisor, so that device and versions are equal, if they
    used the same number of threads, and if they were interleaved with each other or neither was interleaved.
    """
    found = {_place(record): record for record in records}
    pairs = []
    for (family, level, divisor), aligned in found.items():
        plain = found.get((family, level, None))
        if divisor is None or plain is None:
            continue
        unpruned = found.get((family, 0, None))
        pairs += [pair for figure in FIGURES if (pair := _pair(figure, plain, aligned, unpruned))]
    return pairs


def _place(record: EnergyRecord) -> tuple[tuple[str, ...], LevelKey, int | None]:
    """The fields that compared records must share, the level, and the divisor."""
    key = record.done_key.as_json()
    pruning = ("percent", "width", "method", "divisor", "layers", "percent of", "optipfair")
    family = tuple(f"{name}={value}" for name, value in sorted(key.items()) if name not in pruning)
    family = (*family, f"threads={record.runtime.threads}", f"schedule={record.turns}")
    return (record.case.model, *family), record.case.asked or record.case.percent, record.case.divisor


def _pair(figure: str, plain: EnergyRecord, aligned: EnergyRecord, unpruned: EnergyRecord | None) -> AlignedPair | None:
    ratio, divisor = _ratio(figure, aligned, plain), aligned.case.divisor
    if ratio is None or divisor is None:
        return None
    return AlignedPair(
        model=aligned.case.model,
        workload=aligned.case.subject,
        level=aligned.case.asked or aligned.case.percent,
        divisor=divisor,
        figure=figure,
        energy_quality=energy_quality([*aligned.repeats, *plain.repeats]),
        width=plain.pruning.width,
        aligned_width=aligned.pruning.width,
        expansion_ratio=plain.pruning.expansion_ratio,
        plain=_mean(figure, plain),
        aligned=_mean(figure, aligned),
        aligned_to_plain=ratio,
        parameters_ratio=aligned.pruning.parameters / plain.pruning.parameters,
        plain_to_unpruned=_ratio(figure, plain, unpruned) if unpruned else None,
        aligned_to_unpruned=_ratio(figure, aligned, unpruned) if unpruned else None,
    )


def _values(figure: str, record: EnergyRecord) -> dict[int, float | None]:
    read = FIGURES[figure][1]
    return {repeat.seed: read(repeat) for repeat in record.repeats}


def _mean(figure: str, record: EnergyRecord) -> float:
    return float(summarize(list(_values(figure, record).values()))["mean"])


def _ratio(figure: str, over: EnergyRecord, under: EnergyRecord) -> Ratio | None:
    """The ratio over repeats with the same seed; None where a repeat has no figure."""
    if figure.endswith("_j") and energy_sources(over.repeats) != energy_sources(under.repeats):
        return None  # joules of different parts or sources cannot be compared
    above, below = _values(figure, over), _values(figure, under)
    logarithms = [
        math.log(value / other)
        for seed, value in above.items()
        if value is not None and value > 0 and (other := below.get(seed)) is not None and other > 0
    ]
    if not logarithms or len(logarithms) < len(above):
        return None
    found = summarize(logarithms)
    low, high = found["interval_low"], found["interval_high"]
    if low is None or high is None or high > _LARGEST_EXPONENT:
        return Ratio(math.exp(found["mean"]), None, None)
    return Ratio(math.exp(found["mean"]), math.exp(low), math.exp(high))
