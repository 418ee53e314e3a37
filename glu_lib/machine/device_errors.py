"""Classify device errors: out of memory, or a GPU that this process can no longer use."""

from __future__ import annotations

import re
from collections.abc import Iterator

# accelerate's `should_reduce_batch_size` misses two cases: CUDA calls that fail for lack of memory outside of torch's
# allocator, and cuBLAS or cuDNN failing to allocate memory for a handle.
_OUT_OF_MEMORY = re.compile(
    r"out of memory"
    r"|DefaultCPUAllocator: (can't allocate|not enough) memory"
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED"
)
# CUDA calls these errors sticky: the context is corrupt, every later call returns the same error, and only a new
# process helps. CUBLAS_STATUS_NOT_INITIALIZED is missing because lack of memory can cause it too: if the context is
# corrupt, the next call shows it.
_LOST = re.compile(
    r"(CUDA|HIP)\b.*?("
    r"device-side assert|illegal memory access|illegal instruction|illegal address|misaligned address"
    r"|invalid program counter|global/shared address space|hardware stack error|unspecified launch failure"
    r"|launch timed out|uncorrectable (ECC|NVLink) error|context is destroyed|unknown error|driver shutting down"
    r"|(CUBLAS|CUSOLVER|CUSPARSE)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR))"
    r"|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU or the host ran out of memory, so that a smaller batch may succeed."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def is_device_lost(error: BaseException) -> bool:
    """Whether `error`, or one of its causes, means that this process can no longer use its GPU."""
    return any(map(_is_lost, _chain(error)))


def describe_lost_device(error: BaseException) -> str:
    """One line for a lost GPU: what happened, and the remedy."""
    first = next(filter(_is_lost, _chain(error)), error)
    what = next(iter(str(first).splitlines()), type(first).__name__).split(" when calling ")[0].strip().rstrip(".")
    return (
        f"the GPU failed ({what}) and this process can no longer use it; finished cases are kept, run the others in a "
        "new process: pytest --lf (in a notebook, restart the kernel and call again)"
    )


def _is_lost(error: BaseException) -> bool:
    is_told_apart = isinstance(error, RuntimeError) and not is_out_of_memory(error)
    return is_told_apart and _LOST.search(str(error)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, nearest first. A failing clean-up of a `with` block can hide the original cause."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
