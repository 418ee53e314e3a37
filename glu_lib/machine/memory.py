"""Memory of a device: free bytes, the peak of a block of work (GPU allocator, or resident set on CPU), release."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size


@dataclass(slots=True)
class PeakMemory:
    """Bytes in use before a block and at its peak; None, with `reason`, if they cannot be read."""

    source: str | None = None
    before_bytes: int | None = None
    peak_bytes: int | None = None
    reason: str | None = None

    other_models_bytes: int = 0

    def without(self, other_models_bytes: int) -> PeakMemory:
        """Subtract the bytes of other models that were loaded at the same time."""
        before = None if self.before_bytes is None else self.before_bytes - other_models_bytes
        peak = None if self.peak_bytes is None else self.peak_bytes - other_models_bytes
        return replace(self, before_bytes=before, peak_bytes=peak, other_models_bytes=other_models_bytes)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@contextmanager
def peak_memory(device: str) -> Iterator[PeakMemory]:
    """Measure the block: `torch.cuda.max_memory_allocated` on a GPU, VmHWM of this process on CPU (Linux)."""
    found = PeakMemory()
    if device.startswith("cuda"):
        import torch

        found.source = "cuda allocator"
        torch.cuda.reset_peak_memory_stats(device)
        found.before_bytes = torch.cuda.memory_allocated(device)
        yield found
        found.peak_bytes = torch.cuda.max_memory_allocated(device)
        return
    if device == "mps":
        found.reason = "torch does not tell the peak memory of this GPU"
        yield found
        return
    try:
        _CLEAR.write_text(_RESET_PEAK)
        found.before_bytes = _resident_bytes("VmRSS")
    except OSError as error:
        found.reason = f"this system does not tell a process's peak memory ({error.strerror})"
        yield found
        return
    found.source = "resident set"
    yield found
    found.peak_bytes = _resident_bytes("VmHWM")


def free_bytes(device: str) -> int:
    """Free memory of `device` in bytes."""
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    import psutil

    return int(psutil.virtual_memory().available)


def usable_bytes(device: str) -> int:
    """Bytes that this process can still allocate on `device`: free ones, and those that torch holds unused on a GPU."""
    if not device.startswith("cuda"):
        return free_bytes(device)
    import torch

    return free_bytes(device) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _resident_bytes(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(0, f"{field} is missing")


def release_memory() -> None:
    """Release the memory of models that are no longer referenced, on host and GPU."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
