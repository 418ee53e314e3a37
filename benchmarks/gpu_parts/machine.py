"""The machine of a measurement: GPU, memory, driver, CUDA and versions, as each record states them."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from glu_lib.machine.environment import Environment


def describe(environment: Environment) -> dict[str, Any]:
    """GPU, its memory in bytes, driver, CUDA, processor, versions and commit; null where there is no such thing."""
    import torch

    on_gpu = environment.device.startswith("cuda")
    return {
        "device": environment.device,
        "gpu": environment.gpu,
        "gpu_memory_bytes": torch.cuda.get_device_properties(environment.device).total_memory if on_gpu else None,
        "driver": _driver_version() if on_gpu else None,
        "cuda": torch.version.cuda,
        "cpu": environment.cpu,
        "cores": environment.cores,
        "memory_bytes": environment.memory_bytes,
        "threads": None if on_gpu else torch.get_num_threads(),
        "versions": {**environment.versions, "vllm": vllm_version()},
        "git_commit": environment.git_commit,
        "outside": environment.outside,
    }


def vllm_version() -> str | None:
    """The version of vLLM; None if it is not installed."""
    try:
        return importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver_version() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None
