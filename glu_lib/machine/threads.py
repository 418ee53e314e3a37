"""The number of CPU threads for torch: as requested, or the fastest one of a short measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from glu_lib.machine.environment import Environment

_STEPS = 3
_BATCH, _LENGTH = 64, 16  # most rows, and tokens per row, of one timed forward pass
_STEP_S = 0.1  # a pass that takes so long needs no further rows: starting the threads weighs nothing in it
_ENOUGH_S = 0.5  # a first pass so long counts: waking the threads weighs nothing in it, and large models take seconds


@dataclass(slots=True)
class ThreadChoice:
    """The threads of a run: `asked` if given, else measured once per model name, at most cores / workers."""

    asked: int | None = None
    workers: int = 1
    _measured: dict[str, int] = field(default_factory=dict)

    def apply(self, model: PreTrainedModel, environment: Environment, name: str = "") -> int | None:
        """Set torch's thread count for `model` and return it; None on a GPU, where the count does not matter."""
        if environment.device != "cpu":
            return None
        import torch

        if self.asked is None and name not in self._measured:
            self._measured[name] = choose_threads(model, max(1, environment.cores // self.workers))
        threads = self._measured[name] if self.asked is None else self.asked
        torch.set_num_threads(threads)
        return threads


def choose_threads(model: PreTrainedModel, cores: int) -> int:
    """Set and return the thread count that runs a small batch fastest at the machine's present load.

    If other processes are busy, each barrier between threads may wait for a time slice. More threads can then be
    slower by orders of magnitude on a small model, which the core count alone does not show.

    Args:
        model: the model to run, on CPU.
        cores: physical cores that may be used; the candidates are 1, 2, 4, … up to this number.
    """
    import torch

    rows = torch.zeros((_BATCH, _LENGTH), dtype=torch.long)

    @torch.inference_mode()
    def step(count: int) -> None:
        model(rows[:count], use_cache=False)

    torch.set_num_threads(1)
    count = rows_of(step)
    candidates = [1 << power for power in range(cores.bit_length()) if 1 << power <= cores]
    threads = fastest(partial(step, count), torch.set_num_threads, candidates)
    torch.set_num_threads(threads)
    return threads


def rows_of(step: Callable[[int], None]) -> int:
    """Number of rows that a step needs to take _STEP_S seconds: a power of two, at most _BATCH.

    One row of a large model takes seconds, and of a small one less than starting a second thread.
    """
    count = 1
    step(count)  # the first pass of a process allocates memory
    while count < _BATCH and _seconds(partial(step, count)) < _STEP_S:
        count *= 2
    return count


def fastest(step: Callable[[], None], set_threads: Callable[[int], None], candidates: Sequence[int]) -> int:
    """The thread count with the shortest step, as the best of a few steps each.

    Each candidate gets one uncounted warm-up step; one that takes _ENOUGH_S seconds is its only step, and counts.
    Candidates ascend, and the first one that is not faster than its predecessor ends the search, so that a bad
    candidate costs only a few steps.
    """
    best, best_s = candidates[0], float("inf")
    for threads in candidates:
        set_threads(threads)
        first_s = _seconds(step)
        if first_s > 2 * best_s:
            break
        shortest_s = first_s if first_s >= _ENOUGH_S else min(_seconds(step) for _ in range(_STEPS))
        if shortest_s >= best_s:
            break
        best, best_s = threads, shortest_s
    return best


def _seconds(step: Callable[[], None]) -> float:
    start_s = time.perf_counter()
    step()
    return time.perf_counter() - start_s
