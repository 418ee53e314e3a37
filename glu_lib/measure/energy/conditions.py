"""The conditions of a measurement: the GPU's state at both edges, and whether anybody else was at work."""

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

# More than this share of a core by others and an energy figure of the whole machine is not the model's.
MOST_OTHER_CORES = 0.25
# The kernel counts work in hundredths of a second; the machine's and this process's are each read twice.
CLOCK_STEP_S = 0.04


def gpu_state(device: torch.device) -> dict[str, float] | None:
    """Temperature (°C), clocks (MHz) and power limit (W) of the GPU from its driver; None on CPU or without NVML."""
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
    """Whether nobody else uses the GPU, and no other worker of this run the machine.

    Args:
        device: where the model is.
        allow_shared: go on if it is not so.

    Raises:
        MeasurementError: naming who is there, and the remedy, unless sharing is allowed.
    """
    found = list(_others(device))
    if found and not allow_shared:
        raise MeasurementError(
            f"energy cannot be told apart from that of {' and '.join(found)}; "
            "let them end, or record it as shared with --allow-shared"
        )
    return not found


@dataclass(slots=True)
class Observed:
    """Who else was at work during some blocks of work on `device`, and the GPU's state before and after them.

    They count as exclusive only below MOST_OTHER_CORES, on a GPU too: CodeCarbon's figures of processor and memory are
    the whole machine's. What a short block sees of others is as coarse as the kernel's clock: less than CLOCK_STEP_S is
    nobody's.
    """

    device: torch.device
    others: set[str] = field(default_factory=set)
    others_s: float = 0.0
    wall_s: float = 0.0
    _gpu_before: dict[str, float] | None = None
    _gpu_after: dict[str, float] | None = None

    @contextmanager
    def block(self) -> Iterator[None]:
        """Observe one block; one that ends with an error is not counted."""
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
        """Everybody else who was at work, in words; empty if nobody was."""
        is_busy = self.others_s >= max(MOST_OTHER_CORES * self.wall_s, CLOCK_STEP_S)
        if not is_busy:
            return sorted(self.others)
        return [*sorted(self.others), f"other processes that kept more than {MOST_OTHER_CORES} cores busy"]

    @property
    def other_cpu_cores(self) -> float | None:
        """Cores that other processes kept busy on average; None before the first block."""
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
    """Conditions before and after the block, as `Observed` has them; they are there once it has ended.

    Raises:
        MeasurementError: if the GPU or the run is shared and that is not allowed.
    """
    check_exclusive(device, allow_shared=allow_shared)
    conditions: dict[str, Any] = {}
    observed = Observed(device)
    with observed.block():
        yield conditions
    conditions |= observed.as_dict()


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """Seconds by the wall clock, of work by all processes of the machine, and of work by this one."""

    wall_s: float
    machine_s: float
    own_s: float


def other_cpu_cores(before: CpuSeconds, after: CpuSeconds) -> float:
    """Cores that other processes kept busy on average: (machine's work − own work) / wall-clock time, never below 0."""
    return max(0.0, _others_s(before, after) / max(after.wall_s - before.wall_s, 1e-9))


def _others_s(before: CpuSeconds, after: CpuSeconds) -> float:
    return (after.machine_s - before.machine_s) - (after.own_s - before.own_s)


def _cpu_seconds() -> CpuSeconds:
    import psutil

    machine, own = psutil.cpu_times(), psutil.Process().cpu_times()
    idle_s = machine.idle + getattr(machine, "iowait", 0.0)
    # Time that a hypervisor or a guest accounts for is not this machine's work; guest time is part of user time.
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
    """The driver's handle of a torch device, found by UUID: CUDA_VISIBLE_DEVICES may have renumbered them."""
    import torch

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _all_handles(pynvml: Any) -> list[Any]:
    """All GPUs of the machine: beside work on the CPU the energy of each of them counts."""
    pynvml.nvmlInit()
    return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
