"""What is measured besides tasks: generation workloads for energy, and the layer scan."""

from __future__ import annotations

from dataclasses import dataclass

from glu_lib.errors import StudyError
from glu_lib.study.asked import MAX_PERCENT
from glu_lib.study.keys import check_key
from glu_lib.study.selection import LAYER_SCAN


@dataclass(frozen=True, slots=True)
class Workload:
    """A generation workload of the energy suite.

    `prompts` is the key of the task whose prompts are used. For each seed, `new_tokens` tokens are generated for
    each of `num_prompts` prompts, in batches of `batch_size`. Without `prompts`, or with random weights, each
    prompt consists of `prompt_tokens` random tokens.
    """

    key: str
    prompts: str | None
    num_prompts: int
    new_tokens: int
    batch_size: int
    seeds: tuple[int, ...] = (42, 123, 456)
    prompt_tokens: int = 128

    def __post_init__(self) -> None:
        _check(self, ("num_prompts", "new_tokens", "batch_size", "prompt_tokens"))


@dataclass(frozen=True, slots=True)
class Saturation:
    """A workload of the energy suite whose batch doubles until memory or throughput stops it.

    The batch sizes are 1, 2, 4, … up to `max_batch`. At each, and for each seed, every prompt of one batch gets
    `new_tokens` tokens; prompts are those of `Workload`. A level is saturated when a doubling gains less than
    `least_gain`, a share of its throughput.
    """

    key: str
    prompts: str | None
    new_tokens: int
    max_batch: int
    least_gain: float = 0.05
    seeds: tuple[int, ...] = (42, 123, 456)
    prompt_tokens: int = 128

    def __post_init__(self) -> None:
        _check(self, ("new_tokens", "max_batch", "prompt_tokens"))
        if not 0 <= self.least_gain < 1:
            raise StudyError(
                f"workload {self.key!r}: least_gain {self.least_gain} is a share of the throughput; choose one from 0 "
                "to below 1, such as 0.05"
            )

    def batch_sizes(self, limit: int | None) -> tuple[int, ...]:
        """The batch sizes, ascending; at most `limit` prompts in a batch (None: as declared)."""
        most = min(self.max_batch, limit or self.max_batch)
        return tuple(2**power for power in range(most.bit_length()))

    def at(self, batch_size: int) -> Workload:
        """The workload of one batch of this size."""
        return Workload(self.key, self.prompts, batch_size, self.new_tokens, batch_size, self.seeds, self.prompt_tokens)


AnyWorkload = Workload | Saturation


def _check(workload: AnyWorkload, counts: tuple[str, ...]) -> None:
    check_key("workload", workload.key)
    for name in counts:
        if getattr(workload, name) < 1:
            raise StudyError(f"workload {workload.key!r}: {name} {getattr(workload, name)} must be 1 or more")
    if not workload.seeds:
        raise StudyError(f"workload {workload.key!r}: seeds is empty; give at least one")


@dataclass(frozen=True, slots=True)
class LayerScan:
    """The layer scan: perplexity on a fixed text with each layer pruned alone, and with all layers but it.

    `percent` is the level of the pruned layers.
    """

    percent: int = 10
    key: str = LAYER_SCAN

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= MAX_PERCENT:
            raise StudyError(f"scan_level {self.percent} is outside 1–{MAX_PERCENT} per cent; choose one inside")
