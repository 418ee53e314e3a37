"""Times of work on a device: of kernels by CUDA events, of whole calls by the clock between two synchronizations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from glu_lib.machine.environment import synchronize

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds of the same work in several rounds, in order."""

    seconds: tuple[float, ...]

    @property
    def fastest_s(self) -> float:
        """The fastest round: what disturbs a round only makes it slower."""
        return min(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Fastest, median and all rounds, in seconds."""
        return {"fastest_s": self.fastest_s, "median_s": median(self.seconds), "rounds_s": list(self.seconds)}


def call_seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of a whole call, with its work on the host."""
    synchronize(device)  # earlier work is not this call's
    start_s = time.perf_counter()
    work()
    synchronize(device)  # kernels are only queued when the call returns
    return time.perf_counter() - start_s


def kernel_seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds from the first to the last kernel that `work` queues, as the GPU's own clock says; on CPU the call's."""
    if device.type != "cuda":
        return call_seconds(device, work)
    import torch

    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / 1000


def rounds(measure: Callable[[], float], count: int) -> Rounds:
    """Measure `count` rounds. The caller warms up: allocations and the choice of kernels belong to the first call."""
    return Rounds(tuple(measure() for _ in range(count)))
