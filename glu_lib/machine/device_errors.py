"""What an error of the device means: out of memory, or a GPU that this process can use no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

# accelerate's `should_reduce_batch_size` does not know the two forms in which CUDA itself says it (an error of a call
# instead of the allocator's exception) nor cuBLAS and cuDNN, which need memory of their own for a handle.
_OUT_OF_MEMORY = re.compile(
    r"out of memory"
    r"|DefaultCPUAllocator: (can't allocate|not enough) memory"
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED"
)
# Errors that CUDA calls sticky: its context is corrupt, every later call returns the same error, only a new process
# helps. CUBLAS_STATUS_NOT_INITIALIZED is not among them, because it has either cause: the next call tells.
_LOST = re.compile(
    r"(CUDA|HIP)\b.*?("
    r"device-side assert|illegal memory access|illegal instruction|illegal address|misaligned address"
    r"|invalid program counter|global/shared address space|hardware stack error|unspecified launch failure"
    r"|launch timed out|uncorrectable (ECC|NVLink) error|context is destroyed|unknown error|driver shutting down"
    r"|(CUBLAS|CUSOLVER|CUSPARSE)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR))"
    r"|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch, or less beside it, may succeed: the GPU or the host had no memory left."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def is_device_lost(error: BaseException) -> bool:
    """Whether `error`, or one that it came from, leaves this process without its GPU."""
    return any(map(_is_lost, _chain(error)))


def describe_lost_device(error: BaseException) -> str:
    """One line for an error after which this process can use its GPU no more: what happened, and the remedy."""
    first = next(filter(_is_lost, _chain(error)), error)
    what = next(iter(str(first).splitlines()), type(first).__name__).split(" when calling ")[0].strip().rstrip(".")
    return (
        f"the GPU failed ({what}) and this process can use it no more; what was finished is kept, go on in a new "
        "process: pytest --lf (in a notebook, restart the kernel and call again)"
    )


def _is_lost(error: BaseException) -> bool:
    is_told_apart = isinstance(error, RuntimeError) and not is_out_of_memory(error)
    return is_told_apart and _LOST.search(str(error)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it came from, nearest first: what fails while a block is left hides the cause."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
