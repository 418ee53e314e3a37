"""The machine's own rates: matrix products per dtype, copying, and the cost of starting a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.study.settings import DType
from gpu_parts.bench import Bench
from gpu_parts.plan import Unit
from gpu_parts.timing import call_seconds, kernel_seconds, rounds

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sides of the square matrices, products per round, bytes of the copied block, kernels started per round."""

    sides: tuple[int, ...]
    products: int
    copy_bytes: int
    launches: int


# The block is larger than the caches: an H100 has 50 MB, server processors up to hundreds of MB.
ON_GPU = Sizes((2048, 4096, 8192), 10, 1 << 30, 1000)
ON_CPU = Sizes((1024, 2048), 1, 1 << 29, 1000)
TINY = Sizes((128, 256), 4, 1 << 24, 200)


def measure_rates(bench: Bench, _unit: Unit) -> dict[str, Any]:
    """Rates of the bench's device."""
    return rates_of(bench.device, TINY if bench.setup.is_tiny else ON_GPU if bench.setup.on_gpu else ON_CPU)


def rates_of(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Rates of `device`, each of the fastest of five rounds after a warm-up.

    `flop_per_s` is that of the fastest size; `copy_bytes_per_s` counts bytes read and bytes written; `launch_s` is the
    time per kernel when kernels of one element are started one after the other.
    """
    return {
        "rounds": _ROUNDS,
        "matmul": {str(dtype): _matmul(device, getattr(torch, dtype), sizes) for dtype in DType},
        "copy_bytes_per_s": _copy(device, sizes.copy_bytes),
        "copied_block_bytes": sizes.copy_bytes,
        "launch_s": _launch(device, sizes.launches),
    }


def _matmul(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> dict[str, Any]:
    """The rate by side of the square matrices; a size that does not fit into memory is left out."""
    by_side: dict[str, float] = {}
    for side in sizes.sides:
        try:
            by_side[str(side)] = _product_rate(device, dtype, side, sizes.products)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
    return {"flop_per_s": max(by_side.values(), default=None), "by_side": by_side}


def _product_rate(device: torch.device, dtype: torch.dtype, side: int, products: int) -> float:
    left, right = (torch.randn((side, side), device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)  # allocating is not part of the product

    def work() -> None:
        for _ in range(products):
            torch.matmul(left, right, out=out)

    work()  # warm-up: the library chooses its kernel
    return 2.0 * side**3 * products / rounds(lambda: kernel_seconds(device, work), _ROUNDS).fastest_s


def _copy(device: torch.device, size_bytes: int) -> float:
    source = torch.ones(size_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # warm-up: pages are mapped at the first touch
    return 2.0 * size_bytes / rounds(lambda: kernel_seconds(device, lambda: target.copy_(source)), _ROUNDS).fastest_s


def _launch(device: torch.device, launches: int) -> float:
    number = torch.zeros(1, device=device)

    def work() -> None:
        for _ in range(launches):
            number.add_(1)

    work()
    # By the host's clock: what a kernel costs before it runs is the host's work.
    return rounds(lambda: call_seconds(device, work), _ROUNDS).fastest_s / launches
