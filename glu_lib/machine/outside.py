"""Library settings from configuration files and environment variables: ignored, refused, or named in the record."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from glu_lib.errors import SettingsError, one_line

CODECARBON_FILE = ".codecarbon.config"  # in the home folder and in the working folder
_CODECARBON = "codecarbon"
_LONGEST_VALUE = 100  # characters

# Variables that change the arithmetic (TF32 or bfloat16 instead of float32), with the values that do not.
ARITHMETIC = {
    "NVIDIA_TF32_OVERRIDE": ("0",),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("0",),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("STRICT", "strict"),
    "DNNL_DEFAULT_FPMATH_MODE": ("STRICT", "strict"),
}
# Variables that change the speed, or only the last digits: instruction sets, kernels, thread placement, memory.
SPEED = (
    *("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    *("MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "OPENBLAS_CORETYPE", "LD_PRELOAD", "MALLOC_CONF"),
    *("KMP_AFFINITY", "KMP_BLOCKTIME", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT"),
    *("OMP_DYNAMIC", "OMP_PLACES", "OMP_PROC_BIND", "OMP_SCHEDULE", "OMP_WAIT_POLICY"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING"),
    *("TORCH_BLAS_PREFER_CUBLASLT", "TORCH_LINEAR_FLATTEN_3D", "TORCH_MKLDNN_MATMUL_MIN_DIM"),
    *("TORCH_MKLDNN_MATMUL_MIN_SIZE", "TRANSFORMERS_SDPA_FORCE_GQA", "USE_HUB_KERNELS"),
)
# These change the speed only on a GPU: on the CPU the suite sets torch's threads itself.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
# Inside a Slurm job CodeCarbon's memory model uses the job's allocation instead of the machine's memory. The job number
# itself means nothing for a measurement, so the record holds only "set".
_SLURM = "SLURM_JOB_ID"


def check_arithmetic(variables: Mapping[str, str] = os.environ) -> None:
    """Refuse environment variables that would silently change the numbers a model computes.

    Raises:
        SettingsError: naming the first such variable.
    """
    for name, harmless in ARITHMETIC.items():
        if (value := variables.get(name, "")) and value not in harmless:
            raise SettingsError(
                f"{name}={_shown(value)} changes the arithmetic of every score and time; unset it and choose the dtype "
                "with --dtype"
            )


def speed_settings(device: str, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that are set and change how fast a model computes on `device`, for the record."""
    names = SPEED if device == "cpu" else (*SPEED, *_THREADS)
    found = {name: _shown(variables[name]) for name in names if variables.get(name)}
    return found | ({_SLURM: "set"} if variables.get(_SLURM) else {})


def ignored_settings(variables: Mapping[str, str] = os.environ) -> Iterator[str]:
    """CodeCarbon settings that exist but have no effect: each configuration file with its keys, each variable.

    Values are left out, because they may be API keys.
    """
    for folder in dict.fromkeys((Path.home(), Path.cwd())):
        path = folder / CODECARBON_FILE
        if path.is_file():
            yield f"{path} ({', '.join(_keys(path)) or 'no keys'})"
    yield from sorted(name for name in variables if name.lower().startswith(f"{_CODECARBON}_"))


def _keys(path: Path) -> list[str]:
    """The keys in CodeCarbon's section of a configuration file."""
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, OSError, ValueError):
        return ["not readable"]
    return [_shown(key) for key in parser[_CODECARBON]] if parser.has_section(_CODECARBON) else []


def _shown(value: str) -> str:
    return one_line(value)[:_LONGEST_VALUE]
