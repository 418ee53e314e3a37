"""What the user chose for a run: sample limit, hardware, seeds, results folder; checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glu_lib.errors import SettingsError


class DType(StrEnum):
    """Number format of the weights while scoring."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def bytes(self) -> int:
        """Size of one weight in bytes."""
        return 4 if self is DType.FLOAT32 else 2


class Weights(StrEnum):
    """Which weights a model gets: its own, or random ones of the same shape, for time and energy only."""

    REAL = "real"
    RANDOM = "random"


class Scorer(StrEnum):
    """Which lm-eval model scores: the suite's own, or lm-eval's `HFLM`."""

    FAST = "fast"
    HF = "hf"


DIVISORS = (32, 64, 128, 256)
DEFAULT_BATCH_SIZE = 32
DEFAULT_MIN_WINDOW_S = 10.0
DEFAULT_IDLE_S = 30.0
# lm-eval's own defaults, stated so that they stand in every done key.
SEED = 1234


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of one run; None means detected or measured.

    `limit` is samples per task (or prompts per workload), `batch_size` requests per forward pass,
    `threads` CPU threads of torch, `min_window_s` the shortest energy window of a workload and
    `idle_s` the rest before workloads, in seconds; `carbon_intensity` is in g CO2e/kWh.

    Raises:
        SettingsError: one line naming value, rule and remedy.
    """

    results_dir: Path = Path("results")
    limit: int | None = None
    rerun: bool = False
    dtype: DType | None = None
    device: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    scorer: Scorer = Scorer.FAST
    threads: int | None = None
    seed: int = SEED
    min_window_s: float = DEFAULT_MIN_WINDOW_S
    idle_s: float = DEFAULT_IDLE_S
    allow_shared: bool = False
    carbon_intensity: float | None = None
    country: str | None = None
    weights: Weights = Weights.REAL

    def __post_init__(self) -> None:
        # Notebooks give text where the command line gives a path or a choice.
        if not isinstance(self.results_dir, str | Path) or not str(self.results_dir).strip():
            raise SettingsError(f"results_dir {self.results_dir!r}: must be a folder's path")
        object.__setattr__(self, "results_dir", Path(self.results_dir))
        if self.dtype is not None:
            object.__setattr__(self, "dtype", parse_dtype(self.dtype))
        _check_count("--limit", self.limit, "leave it out to score every sample")
        _check_count("--batch-size", self.batch_size, f"the default is {DEFAULT_BATCH_SIZE}")
        _check_count("--threads", self.threads, "leave it out to have it measured")
        if not 0 < self.min_window_s < math.inf:
            raise SettingsError(f"--min-window {self.min_window_s}: must be more than 0 seconds")
        if not 0 <= self.idle_s < math.inf:
            raise SettingsError(f"--idle-seconds {self.idle_s}: must be 0 or more; 0 leaves idle power out")
        if self.carbon_intensity is not None and not 0 <= self.carbon_intensity < math.inf:
            raise SettingsError(f"--carbon-intensity {self.carbon_intensity}: must be 0 or more (g/kWh)")
        if self.carbon_intensity is not None and self.country is not None:
            raise SettingsError("--carbon-intensity and --country both say where the machine stands; give one of them")
        if self.results_dir.exists() and not self.results_dir.is_dir():
            raise SettingsError(
                f"--results-dir {str(self.results_dir)!r} is a file; records need a folder: name another one"
            )


def given_folder(text: str) -> Path:
    """The results folder that a user typed, from where he stands; `~` is his home.

    Raises:
        SettingsError: if it is blank.
    """
    if not text.strip():
        raise SettingsError("--results-dir is blank; name a folder, as --results-dir=/drive/glu")
    return Path(text).expanduser()


def parse_dtype(text: str) -> DType:
    """The number format called `text`.

    Raises:
        SettingsError: for an unknown name.
    """
    try:
        return DType(text)
    except ValueError:
        raise SettingsError(f"--dtype {text!r} is unknown; choose one of {', '.join(DType)}") from None


def check_divisor(divisor: int) -> int:
    """`divisor` if OptiPFair rounds to it.

    Raises:
        SettingsError: for another number.
    """
    if divisor not in DIVISORS:
        raise SettingsError(f"--divisor {divisor}: widths are rounded to {', '.join(map(str, DIVISORS))}; choose one")
    return divisor


def _check_count(option: str, value: int | None, remedy: str) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingsError(f"{option} {value!r}: must be a whole number; {remedy}")
    if value < 1:
        raise SettingsError(f"{option} {value}: must be 1 or more; {remedy}")
