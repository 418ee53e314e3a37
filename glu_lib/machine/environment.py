"""The environment of a run: device, dtype, versions, hardware, git commit; found without importing torch."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import random
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from glu_lib.errors import SettingsError
from glu_lib.machine.cpus import check_threads
from glu_lib.machine.gpus import Gpu, find_gpu
from glu_lib.machine.outside import check_arithmetic, speed_settings
from glu_lib.study.settings import DType, Settings

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "transformers", "optipfair", "lm_eval", "codecarbon", "datasets")
MPS = "mps"  # torch's name of the GPU of a Mac with an Apple chip
UNTRIED_MPS = "mps: this suite has not been tried on it; compare some scores with --device cpu first"
WORKER_COUNT = "PYTEST_XDIST_WORKER_COUNT"  # pytest-xdist sets it; a worker of a cluster sets it itself
_BFLOAT16_CAPABILITY = (8, 0)  # Ampere; a T4 is 7.5


@dataclass(frozen=True, slots=True)
class Environment:
    """Device, dtype, seed, versions and hardware of a run; memory in bytes.

    `outside` holds the environment variables that change how fast libraries compute.
    """

    device: str
    dtype: DType
    seed: int
    threads: int | None
    versions: dict[str, str]
    cpu: str
    cores: int
    memory_bytes: int
    gpu: str | None
    git_commit: str | None
    outside: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def detect_environment(settings: Settings) -> Environment:
    """Describe the machine without importing torch, which takes seconds and is not needed to list cases.

    Raises:
        SettingsError: if the chosen device does not exist, or an environment variable changes the arithmetic.
    """
    check_arithmetic()
    gpu = find_gpu()
    device = settings.device or ("cuda" if gpu else "cpu")
    _check_device(device, gpu)
    check_threads(settings.threads)
    return Environment(
        device=device,
        dtype=settings.dtype or default_dtype(device, gpu),
        seed=settings.seed,
        threads=settings.threads,
        versions={name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()},
        cpu=_cpu_name(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpu=gpu.name if gpu and device.startswith("cuda") else None,
        git_commit=_git_commit(),
        outside=speed_settings(device),
    )


def setup_environment(settings: Settings | None = None) -> Environment:
    """Describe the machine and prepare this process: check the device, quiet the libraries, set the seeds.

    Args:
        settings: settings of the run; None means the defaults.

    Raises:
        SettingsError: if the device exists but torch cannot use it.
    """
    settings = settings or Settings()
    set_library_defaults()
    environment = detect_environment(settings)
    import torch

    is_usable = torch.backends.mps.is_available() if environment.device == MPS else torch.cuda.is_available()
    if environment.device != "cpu" and not is_usable:
        build = "a torch for this macOS" if environment.device == MPS else "a CUDA or ROCm build of torch"
        raise SettingsError(
            f"device {environment.device!r}: torch {torch.__version__} cannot use it; install {build}, or choose "
            "--device cpu"
        )
    quiet_libraries()
    seed_everything(environment.seed)
    return environment


def set_library_defaults() -> None:
    """Set environment variables that libraries read at import, unless the user has set them."""
    # Seconds before a progress bar appears: short work shows none.
    os.environ.setdefault("TQDM_DELAY", "5")
    # Forked tokenizer threads deadlock or warn; the suite tokenizes in one process.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # By default CUDA numbers GPUs fastest first, and the driver (NVML, nvidia-smi) by slot. An index must mean the same
    # GPU to both.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def count_workers() -> int:
    """Number of processes of this run on this machine: workers of pytest-xdist or a cluster, or 1 without them."""
    return int(os.environ.get(WORKER_COUNT, "1"))


def seed_everything(seed: int) -> None:
    """Seed the random states of Python, NumPy and torch."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def quiet_libraries() -> None:
    """Silence transformers' progress bars and all messages below ERROR of the noisy libraries."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    for name in ("lm_eval", "lm-eval", "httpx", "datasets", "optipfair", "codecarbon"):
        logging.getLogger(name).setLevel(logging.ERROR)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its queued work, so that a clock read afterwards includes that work."""
    if device.type == "cpu":
        return
    import torch

    if device.type == MPS:
        torch.mps.synchronize()
    else:
        torch.cuda.synchronize(device)


def default_dtype(device: str, gpu: Gpu | None) -> DType:
    """The default dtype: bfloat16 on GPUs that support it, float16 on older ones (T4), float32 on CPU and MPS."""
    if not device.startswith("cuda") or gpu is None:
        return DType.FLOAT32
    return DType.BFLOAT16 if gpu.capability >= _BFLOAT16_CAPABILITY else DType.FLOAT16


def _check_device(device: str, gpu: Gpu | None) -> None:
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise SettingsError(f"--device {device!r} is unknown; choose cpu, cuda, cuda:N or mps")
    if device.startswith("cuda") and gpu is None:
        raise SettingsError(
            f"--device {device!r}: no GPU with a CUDA or ROCm build of torch was found; choose cpu, or install one"
        )
    if device == MPS and (sys.platform, platform.machine()) != ("darwin", "arm64"):
        raise SettingsError(f"--device {MPS!r} is the GPU of a Mac with an Apple chip, and this is none; choose cpu")


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    if sys.platform == "darwin":  # where Python knows only "arm"
        with suppress(OSError, subprocess.SubprocessError):
            return _answer("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Commit of the checkout this package runs from; None for an installed package or without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        return _answer("git", "-C", str(root), "rev-parse", "HEAD")
    return None


def _answer(*command: str) -> str:
    """What a command prints, without blanks around it."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
