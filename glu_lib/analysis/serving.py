"""Serving at saturation: the course of each level over the batch size, and from which batch on pruning pays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from glu_lib.analysis.efficiency import energy_quality
from glu_lib.analysis.record_rows import shared_fields
from glu_lib.analysis.table import LevelKey
from glu_lib.results.records import ServingRecord
from glu_lib.results.records.serving import BatchFigures


@dataclass(frozen=True, slots=True)
class ServingPoint:
    """The figures of one batch size: means over the repeats, with 95 % t-intervals; None where there is no figure.

    Times are those of one output token, a median and a 99th percentile of each repeat. Joules per token are gross;
    `net_energy_per_token_j` is without the idle machine's power.
    """

    batch_size: int
    tokens_per_s: float
    tokens_per_s_low: float | None
    tokens_per_s_high: float | None
    time_per_output_token_ms: float | None
    time_per_output_token_p99_ms: float | None
    energy_per_token_j: float | None
    energy_low_j: float | None
    energy_high_j: float | None
    net_energy_per_token_j: float | None
    energy_quality: str | None
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class ServingLevel:
    """One level of a growing batch: its points by ascending batch size, and what it met first.

    `stop_reason` is a `StopReason`, met at `stop_batch` with the share `stop_gain` of throughput gained. `compared_to`
    is the largest batch size that p0 was measured at too (None: no p0 that was measured the same way), `pays_from` the
    smallest one from which on this level has more tokens/s than p0, with intervals apart (None: at no size). `caveat`
    says what else than pruning may have made the difference, empty if nothing is known to.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    level: LevelKey
    width: int
    expansion_ratio: float
    limit: int | None
    workload: str
    weights: str
    device: str
    points: tuple[ServingPoint, ...]
    stop_reason: str
    stop_batch: int
    stop_gain: float | None
    compared_to: int | None
    pays_from: int | None
    caveat: str

    @property
    def best(self) -> ServingPoint:
        """The point of the largest throughput."""
        return max(self.points, key=lambda point: point.tokens_per_s)


def serving_levels(records: Iterable[ServingRecord]) -> list[ServingLevel]:
    """One level per record, in their order; each is compared with p0 measured the same way."""
    found = [(_measured_as(record), record) for record in records]
    baselines = {key: record for key, record in found if record.case.percent == 0}
    return [_level(record, baselines.get(key)) for key, record in found]


def pays_from(points: Sequence[ServingPoint], baseline: Sequence[ServingPoint]) -> int | None:
    """The smallest batch size from which on `points` have more tokens/s than `baseline`, with intervals apart.

    Only sizes that both were measured at count; at the largest of them, and at all down to the result, the lower end
    of the one interval is above the upper end of the other.
    """
    found = None
    unpruned = {point.batch_size: point for point in baseline}
    for point in reversed(points):
        other = unpruned.get(point.batch_size)
        if other is None:
            continue
        low, high = point.tokens_per_s_low, other.tokens_per_s_high
        if low is None or high is None or low <= high:
            break
        found = point.batch_size
    return found


def _level(record: ServingRecord, unpruned: ServingRecord | None) -> ServingLevel:
    case, pruning, points = record.case, record.pruning, _points(record)
    baseline = _points(unpruned) if unpruned else ()
    common = {point.batch_size for point in points} & {point.batch_size for point in baseline}
    return ServingLevel(
        model=case.model,
        method=case.method,
        divisor=case.divisor,
        layers=pruning.pruned_layers,
        level=case.asked or case.percent,
        width=pruning.width,
        expansion_ratio=pruning.expansion_ratio,
        limit=record.done_key.limit,
        workload=case.subject,
        weights=record.weights,
        device=record.environment.processor,
        points=points,
        stop_reason=str(record.stop.reason),
        stop_batch=record.stop.batch_size,
        stop_gain=record.stop.gain,
        compared_to=max(common, default=None) if case.percent else None,
        pays_from=pays_from(points, baseline) if case.percent else None,
        caveat=_caveat(record, unpruned) if case.percent and unpruned else "",
    )


def _caveat(record: ServingRecord, unpruned: ServingRecord) -> str:
    """Why a difference between two levels need not come from pruning."""
    repeats = [repeat for found in (record, unpruned) for batch in found.batches for repeat in batch.repeats]
    found = [] if all(repeat.conditions.exclusive for repeat in repeats) else ["beside other processes"]
    if record.turns is None or record.turns != unpruned.turns:
        found.append("not in turns with p0")
    return ", ".join(found)


def _points(record: ServingRecord) -> tuple[ServingPoint, ...]:
    return tuple(_point(batch) for batch in record.batches)


def _point(batch: BatchFigures) -> ServingPoint:
    speed, joules = batch.profile.tokens_per_s, batch.profile.energy_per_token_j
    assert speed.mean is not None  # the record's type checks it
    return ServingPoint(
        batch_size=batch.batch_size,
        tokens_per_s=speed.mean,
        tokens_per_s_low=speed.interval_low,
        tokens_per_s_high=speed.interval_high,
        time_per_output_token_ms=batch.profile.time_per_output_token_ms.mean,
        time_per_output_token_p99_ms=batch.profile.time_per_output_token_p99_ms.mean,
        energy_per_token_j=joules.mean,
        energy_low_j=joules.interval_low,
        energy_high_j=joules.interval_high,
        net_energy_per_token_j=batch.profile.net_energy_per_token_j.mean,
        energy_quality=energy_quality(batch.repeats),
        peak_memory_bytes=batch.generation_memory.peak_bytes,
    )


def _measured_as(record: ServingRecord) -> str:
    """The model and the fields that a level and its baseline must share, as text."""
    return json.dumps([record.case.model, shared_fields(record)], sort_keys=True)
