"""The conditions of a measurement: the GPU's state before and after, and whether other processes were busy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import count_workers

if TYPE_CHECKING:
    import torch

# If other processes use more than this share of a core, the energy of the whole machine is not that of the model.
MOST_OTHER_CORES = 0.25
# The kernel counts CPU time in steps of 0.01 s. Four such values are compared: before and after, machine and process.
CLOCK_STEP_S = 0.04


def gpu_state(device: torch.device) -> dict[str, float] | None:
    """Temperature (°C), clocks (MHz) and power limit (W) of the GPU, from its driver; None on CPU or without NVML."""
    if device.type != "cuda":
        return None
    import pynvml

    try:
        handle = _handle(pynvml, device)
        return {
            "temperature_c": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
            "sm_clock_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            "memory_clock_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
            "power_limit_w": pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000.0,
        }
    except pynvml.NVMLError:
        return None


def check_exclusive(device: torch.device, *, allow_shared: bool) -> bool:
    """Whether no other process uses the GPU and no other worker of this run uses the machine.

    Args:
        device: device of the model.
        allow_shared: return False instead of raising if the machine is shared.

    Raises:
        MeasurementError: naming the other processes and the remedy, unless sharing is allowed.
    """
    found = list(_others(device))
    if found and not allow_shared:
        raise MeasurementError(
            f"energy cannot be separated from that of {' and '.join(found)}; "
            "wait until they end, or record it as shared with --allow-shared"
        )
    return not found


@dataclass(slots=True)
class Observed:
    """Which other processes were busy during some blocks of work on `device`, and the GPU's state before and after.

    The blocks are exclusive only if others used fewer than MOST_OTHER_CORES cores. This applies on a GPU too, because
    CodeCarbon's figures for processor and memory are those of the whole machine. CPU time of others below CLOCK_STEP_S
    is ignored: in short blocks it may be only the coarseness of the kernel's clock.
    """

    device: torch.device
    others: set[str] = field(default_factory=set)
    others_s: float = 0.0
    wall_s: float = 0.0
    _gpu_before: dict[str, float] | None = None
    _gpu_after: dict[str, float] | None = None

    @contextmanager
    def block(self) -> Iterator[None]:
        """Observe one block. A block that ends with an exception adds no CPU time."""
        self.others.update(_others(self.device))
        state = gpu_state(self.device)
        self._gpu_before = self._gpu_before or state
        before = _cpu_seconds()
        yield
        after = _cpu_seconds()
        self.others_s += _others_s(before, after)
        self.wall_s += after.wall_s - before.wall_s
        self._gpu_after = gpu_state(self.device)
        self.others.update(_others(self.device))

    @property
    def shared_with(self) -> list[str]:
        """Descriptions of the other busy processes; empty if there were none."""
        is_busy = self.others_s >= max(MOST_OTHER_CORES * self.wall_s, CLOCK_STEP_S)
        if not is_busy:
            return sorted(self.others)
        return [*sorted(self.others), f"other processes that kept more than {MOST_OTHER_CORES} cores busy"]

    @property
    def other_cpu_cores(self) -> float | None:
        """Average number of cores that other processes kept busy; None before the first block."""
        return max(0.0, self.others_s / self.wall_s) if self.wall_s else None

    def as_dict(self) -> dict[str, Any]:
        """The conditions as JSON values."""
        return {
            "exclusive": not self.shared_with,
            "shared_with": self.shared_with,
            "gpu_before": self._gpu_before,
            "other_cpu_cores": self.other_cpu_cores,
            "gpu_after": self._gpu_after,
        }


@contextmanager
def observed_conditions(device: torch.device, *, allow_shared: bool) -> Iterator[dict[str, Any]]:
    """Observe the block; the yielded dictionary holds the conditions (`Observed.as_dict`) after the block has ended.

    Raises:
        MeasurementError: if the GPU or the machine is shared at the start and that is not allowed.
    """
    check_exclusive(device, allow_shared=allow_shared)
    conditions: dict[str, Any] = {}
    observed = Observed(device)
    with observed.block():
        yield conditions
    conditions |= observed.as_dict()


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """Wall-clock time, CPU time of all processes of the machine, and CPU time of this process, in seconds."""

    wall_s: float
    machine_s: float
    own_s: float


def other_cpu_cores(before: CpuSeconds, after: CpuSeconds) -> float:
    """Average cores that other processes kept busy: (machine's CPU time − own CPU time) / wall time, at least 0."""
    return max(0.0, _others_s(before, after) / max(after.wall_s - before.wall_s, 1e-9))


def _others_s(before: CpuSeconds, after: CpuSeconds) -> float:
    return (after.machine_s - before.machine_s) - (after.own_s - before.own_s)


def _cpu_seconds() -> CpuSeconds:
    import psutil

    machine, own = psutil.cpu_times(), psutil.Process().cpu_times()
    idle_s = machine.idle + getattr(machine, "iowait", 0.0)
    # Stolen time is not this machine's work, and guest time is already part of user time.
    others_s = sum(getattr(machine, name, 0.0) for name in ("steal", "guest", "guest_nice"))
    return CpuSeconds(time.monotonic(), sum(machine) - idle_s - others_s, own.user + own.system)


def _others(device: torch.device) -> Iterator[str]:
    if count_workers() > 1:
        yield "the other workers of this run (leave out -n)"
    import pynvml

    try:
        handles = [_handle(pynvml, device)] if device.type == "cuda" else _all_handles(pynvml)
        running = [pynvml.nvmlDeviceGetComputeRunningProcesses(handle) for handle in handles]
    except pynvml.NVMLError:
        return
    others = sorted({process.pid for processes in running for process in processes} - {os.getpid()})
    if others:
        yield f"the other processes on the GPU (pid {', '.join(map(str, others))})"


def _handle(pynvml: Any, device: torch.device) -> Any:
    """The driver's handle of a torch device, found by UUID because CUDA_VISIBLE_DEVICES may renumber the GPUs."""
    import torch

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _all_handles(pynvml: Any) -> list[Any]:
    """The handles of all GPUs of the machine; for work on the CPU the energy of all of them is measured."""
    pynvml.nvmlInit()
    return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
