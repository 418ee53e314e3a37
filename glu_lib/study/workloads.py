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
        check_key("workload", self.key)
        for name in ("num_prompts", "new_tokens", "batch_size", "prompt_tokens"):
            if getattr(self, name) < 1:
                raise StudyError(f"workload {self.key!r}: {name} {getattr(self, name)} must be 1 or more")
        if not self.seeds:
            raise StudyError(f"workload {self.key!r}: seeds is empty; give at least one")


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
