"""Three GPUs, asked for through the driver, and with CRASH a case that ends its worker.

The cases to run with it are those that need no device. gpus.txt tells which worker ran what on which GPU.
"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

UUIDS = ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]
sys.modules["pynvml"] = SimpleNamespace(  # type: ignore[assignment]
    NVMLError=KeyError,
    nvmlInit=lambda: None,
    nvmlDeviceGetCount=lambda: len(UUIDS),
    nvmlDeviceGetHandleByIndex=UUIDS.__getitem__,
    nvmlDeviceGetUUID=lambda handle: handle,
    nvmlDeviceGetName=lambda handle: f"model {handle}",
    nvmlDeviceGetCudaComputeCapability=lambda _handle: (8, 0),
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle={}.__getitem__,
)
pytest.MonkeyPatch().setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: True)  # never undone


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Notes the case; p20's ends the process."""
    with Path("gpus.txt").open("a") as file:
        names = ("PYTEST_XDIST_WORKER", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
        file.write(" ".join([*(os.environ.get(name, "-") for name in names), item.name]) + "\n")
    if "nano-p20-architecture" in item.nodeid and "CRASH" in os.environ:
        os.abort()
