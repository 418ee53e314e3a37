"""The table of serving at saturation: the largest throughput of each level, and where pruning starts to pay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glu_lib.analysis.level_series import LevelSeries
from glu_lib.analysis.serving import ServingLevel
from glu_lib.report import number
from glu_lib.report.listings import Listing
from glu_lib.results.records.serving import StopReason
from glu_lib.study.architecture import format_ratio

_STOPS = {
    StopReason.MEMORY: "memory ran out",
    StopReason.MEMORY_BOUND: "known not to fit",
    StopReason.LARGEST: "largest size asked for",
    StopReason.THROUGHPUT: "throughput",
}


def serving_listings(levels: Sequence[ServingLevel]) -> Iterator[Listing]:
    """One table per model and workload, levels from wide to narrow."""
    for model, workload, device in dict.fromkeys((level.model, level.workload, level.device) for level in levels):
        mine = [item for item in levels if (item.model, item.workload, item.device) == (model, workload, device)]
        mine.sort(key=lambda level: -level.expansion_ratio)
        qualities = sorted({level.best.energy_quality or "not available" for level in mine})
        yield Listing(
            f"{model}, {workload} on {device}: largest throughput of each level, mean over the repeats with its 95 % "
            f"interval, and the other figures at that batch size (joules {', '.join(qualities)}). Pruning pays from "
            "the batch size on from which a level has more tokens/s than p0, with intervals apart",
            ("level", "expansion ratio", "tokens/s", "batch", "ms per token", "99th percentile", "J per token, gross",
             "net of idle", "peak memory", "stopped by", "pruning pays"),
            tuple(_cells(level) for level in mine),
        )  # fmt: skip


def _cells(level: ServingLevel) -> tuple[str, ...]:
    best = level.best
    return (
        level_name(level),
        format_ratio(level.expansion_ratio),
        _with_interval(best.tokens_per_s, best.tokens_per_s_low, best.tokens_per_s_high),
        str(best.batch_size),
        *(number.significant(best.time_per_output_token_ms), number.significant(best.time_per_output_token_p99_ms)),
        *(number.significant(best.energy_per_token_j), number.significant(best.net_energy_per_token_j)),
        number.prefixed(best.peak_memory_bytes, "B"),
        _stopped(level),
        pays_text(level),
    )


def pays_text(level: ServingLevel) -> str:
    """Where pruning starts to pay: `from 8`, `nowhere up to 64`; a dash for p0, or without a p0 to compare with.

    What else may have made the difference stands behind it: `from 1 (beside other processes)`.
    """
    if level.compared_to is None:
        return "–"
    text = f"nowhere up to {level.compared_to}" if level.pays_from is None else f"from {level.pays_from}"
    return f"{text} ({level.caveat})" if level.caveat else text


def level_name(level: ServingLevel) -> str:
    """The level as rows and curves name it: `p40`, `p40, random1`, `p40, divisor 128, limit 8`."""
    return LevelSeries(level.model, level.method, level.divisor, level.layers, level.limit).name_of(level.level)


def _stopped(level: ServingLevel) -> str:
    if level.stop_gain is not None and level.stop_reason == StopReason.THROUGHPUT:
        return f"throughput ({number.percent(100 * level.stop_gain)} at {level.stop_batch})"
    return f"{_STOPS[StopReason(level.stop_reason)]} ({level.stop_batch})"


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return number.significant(value)
    return f"{number.significant(value)} ({number.significant(low)} … {number.significant(high)})"
