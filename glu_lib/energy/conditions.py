"""The conditions of a measurement: the GPU's state at both edges, and whether anybody else was at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError

if TYPE_CHECKING:
    import torch


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


@contextmanager
def observed_conditions(device: torch.device, *, allow_shared: bool) -> Iterator[dict[str, Any]]:
    """Conditions before and after the block; `after` is there once it has ended.

    Raises:
        MeasurementError: if the machine is shared and that is not allowed.
    """
    conditions: dict[str, Any] = {"exclusive": check_exclusive(device, allow_shared=allow_shared)}
    conditions["gpu_before"] = gpu_state(device)
    yield conditions
    conditions["gpu_after"] = gpu_state(device)
    conditions["exclusive"] &= check_exclusive(device, allow_shared=True)


def _others(device: torch.device) -> Iterator[str]:
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        yield "the other workers of this run (leave out -n)"
    if device.type != "cuda":
        return
    import pynvml

    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(_handle(pynvml, device))
    except pynvml.NVMLError:
        return
    others = sorted(process.pid for process in running if process.pid != os.getpid())
    if others:
        yield f"the other processes on the GPU (pid {', '.join(map(str, others))})"


def _handle(pynvml: Any, device: torch.device) -> Any:
    """The driver's handle of a torch device, found by UUID: CUDA_VISIBLE_DEVICES may have renumbered them."""
    import torch

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
