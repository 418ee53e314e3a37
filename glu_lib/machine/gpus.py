"""The GPUs that this process may use: NVIDIA's from the driver and CUDA_VISIBLE_DEVICES, AMD's as torch shows them."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"
_AMD_VISIBLE = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", VISIBLE)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU; `capability` is (major, minor) of CUDA, or of the architecture of an AMD GPU."""

    name: str
    capability: tuple[int, int]


def find_gpu() -> Gpu | None:
    """The first GPU that this process may use; None without a GPU, a driver or a CUDA or ROCm build of torch."""
    if _torch_has_rocm():
        return _amd_gpu()
    pynvml = _driver()
    if pynvml is None:
        return None
    try:
        for _, handle in _visible(pynvml):
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(_whole(pynvml, handle))
            return Gpu(str(pynvml.nvmlDeviceGetName(handle)), (int(major), int(minor)))
    except pynvml.NVMLError:
        return None
    return None


def visible_gpus() -> tuple[str, ...]:
    """UUIDs of all GPUs (or MIG instances) that this process may use, in CUDA's order; empty if there are none."""
    pynvml = _driver()
    if pynvml is None:
        return ()
    try:
        return tuple(uuid for uuid, _ in _visible(pynvml))
    except pynvml.NVMLError:
        return ()


def _amd_gpu() -> Gpu | None:
    """The first AMD GPU as a ROCm build of torch describes it; this takes the import of torch. None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return Gpu(str(found.name), (int(found.major), int(found.minor)))


def driver_index(number: int) -> int | None:
    """The driver's index for torch's GPU `number`, or of the whole GPU for a MIG instance; None without that GPU.

    AMD GPUs have their own order only where no variable hides or reorders them.
    """
    if _torch_has_rocm():
        return None if any(name in os.environ for name in _AMD_VISIBLE) else number
    pynvml = _driver()
    if pynvml is None:
        return None
    try:
        handles = [handle for _, handle in _visible(pynvml)]
        return int(pynvml.nvmlDeviceGetIndex(_whole(pynvml, handles[number]))) if number < len(handles) else None
    except pynvml.NVMLError:
        return None


def _driver() -> Any:
    """The initialised NVML module; None if torch cannot use CUDA or there is no driver."""
    if not _torch_has_cuda():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _visible(pynvml: Any) -> Iterator[tuple[str, Any]]:
    """UUID and handle of each visible GPU.

    CUDA_VISIBLE_DEVICES holds indices, UUIDs, or UUID prefixes that match exactly one GPU. As in CUDA, the first
    invalid entry ends the list, and a GPU named twice empties it.
    """
    text = os.environ.get(VISIBLE)
    # NVML counts in PCI order. CUDA does too, because set_library_defaults() sets CUDA_DEVICE_ORDER.
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    by_uuid = {str(pynvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}
    uuids = list(by_uuid)
    if text is None:
        yield from by_uuid.items()
        return
    chosen: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        if entry.isdigit():
            found = uuids[int(entry) : int(entry) + 1]
        elif entry.startswith("MIG-"):
            found = [entry]
        else:
            found = [uuid for uuid in uuids if entry.startswith("GPU-") and uuid.startswith(entry)]
        if len(found) != 1:
            break
        chosen += found
    if len(set(chosen)) == len(chosen):
        for uuid in chosen:
            yield uuid, by_uuid.get(uuid) or pynvml.nvmlDeviceGetHandleByUUID(uuid)


def _whole(pynvml: Any, handle: Any) -> Any:
    """The GPU that a MIG instance belongs to, or the given whole GPU. Only whole GPUs report a compute capability."""
    try:
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:
        return handle


def _torch_has_cuda() -> bool:
    """Whether the installed torch is a CUDA build."""
    return _torch_build_has("cuda")


def _torch_has_rocm() -> bool:
    """Whether the installed torch is a ROCm build, which shows AMD GPUs as `cuda`."""
    return _torch_build_has("hip")


def _torch_build_has(name: str) -> bool:
    """Whether the installed torch is a build with `cuda` or `hip` (ROCm), read from its version file, not imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    return re.search(rf"^{name}[^=]*= *'", text, re.MULTILINE) is not None


@dataclass(slots=True)
class GpuPool:
    """Assigns GPUs to processes, one each, by UUID. The GPU returned last is assigned first."""

    free: list[str]
    taken: dict[str, str] = field(default_factory=dict)

    def take(self, worker: str) -> str | None:
        """Assign a GPU to a new worker; None if all are taken."""
        if not self.free:
            return None
        self.taken[worker] = self.free.pop(0)
        return self.taken[worker]

    def give_back(self, worker: str) -> None:
        """Return a worker's GPU to the pool."""
        if worker in self.taken:
            self.free.insert(0, self.taken.pop(worker))
