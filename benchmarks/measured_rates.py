"""Rates that the machine reaches by itself: products of large matrices, and copies of large arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

_SIZE = 2048  # rows and columns of the matrices
_COPIED_BYTES = 1 << 28


def fastest_s(
    works: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu", *, warm: bool = True
) -> dict[str, float]:
    """Seconds of the fastest round of each piece of work. They take turns, so that other load meets all alike.

    With `warm` there is a further round beforehand, which does not count. On CPU with one thread these are seconds of
    processor time, in which other processes do not count.
    """
    is_single = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if is_single else time.perf_counter
    found: dict[str, float] = {}
    for lap in range(1 - warm, rounds + 1):
        for name, work in works.items():
            _wait(device)
            start_s = clock()
            work()
            _wait(device)
            taken_s = clock() - start_s
            if lap:
                found[name] = min(found.get(name, taken_s), taken_s)
    return found


def product_flops(dtype: torch.dtype, device: str = "cpu", rounds: int = 5) -> float:
    """Floating point operations per second of a product of square matrices."""
    matrix = torch.randn(_SIZE, _SIZE, device=device).to(dtype)
    return 2 * _SIZE**3 / fastest_s({"product": lambda: matrix @ matrix}, rounds, device)["product"]


def copy_bytes_per_s(device: str = "cpu", rounds: int = 5) -> float:
    """Bytes read and written per second by a copy."""
    source = torch.ones(_COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * _COPIED_BYTES / fastest_s({"copy": lambda: target.copy_(source)}, rounds, device)["copy"]


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
