"""The user's settings of a run: sample limit, hardware, seeds, results folder; checked on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glu_lib.errors import SettingsError
from glu_lib.study.items import ItemChoice, LimitFrom, SampleFile


class DType(StrEnum):
    """The dtype of the weights during scoring."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def bytes(self) -> int:
        """Size of one weight in bytes."""
        return 4 if self is DType.FLOAT32 else 2


class Weights(StrEnum):
    """A model's weights: its own, or random ones of the same shape, which serve only to measure time and energy."""

    REAL = "real"
    RANDOM = "random"


class Scorer(StrEnum):
    """The lm-eval model that scores: the suite's own (`fast`), or lm-eval's `HFLM` (`hf`)."""

    FAST = "fast"
    HF = "hf"


class Attention(StrEnum):
    """Attention of the fast scorer: its own, which attends once to a shared beginning, or the model's (`plain`)."""

    SHARED = "glu_shared"
    PLAIN = "plain"


class AttentionChoice(StrEnum):
    """Why a model has its attention: both give the same logits, and it is faster or was not timed; or only it does."""

    FASTER = "faster of two"
    NOT_TIMED = "equal, not timed"
    ONLY_EQUAL = "only one is equal"


DIVISORS = (32, 64, 128, 256)
DEFAULT_BATCH_SIZE = 32
DEFAULT_MIN_WINDOW_S = 10.0
DEFAULT_IDLE_S = 30.0
# lm-eval's default. It is set here so that every done key contains it.
SEED = 1234


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one run.

    `limit` is samples per task (or prompts per workload), None for all; `limit_from` says which, for tasks; `samples`
    names the samples instead. `batch_size` is requests per forward pass.
    `threads` is CPU threads of torch, None to measure the best number; `dtype` and `device` are detected if None.
    `min_window_s` is the shortest energy window of a workload, `idle_s` the time at rest before workloads, both in
    seconds. `carbon_intensity` is in g CO2e/kWh. `calibration` is a UTF-8 text file for the method
    `hybrid`, None for the default text. `lm_eval_files`: whether lm-eval's own result files are
    written beside the records.

    Raises:
        SettingsError: one line with value, rule and remedy.
    """

    results_dir: Path = Path("results")
    limit: int | None = None
    limit_from: LimitFrom = LimitFrom.START
    samples: SampleFile | None = None
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
    calibration: Path | None = None
    weights: Weights = Weights.REAL
    lm_eval_files: bool = True

    def __post_init__(self) -> None:
        # Notebooks pass text where the command line passes a path or an enum member.
        if not isinstance(self.results_dir, str | Path) or not str(self.results_dir).strip():
            raise SettingsError(f"results_dir {self.results_dir!r}: must be the path of a folder")
        object.__setattr__(self, "results_dir", Path(self.results_dir))
        if self.dtype is not None:
            object.__setattr__(self, "dtype", parse_dtype(self.dtype))
        _check_count("--limit", self.limit, "leave it out to score every sample")
        if self.samples and self.limit is not None:
            raise SettingsError(f"--limit {self.limit} and --samples both choose the items; give only one of them")
        if self.limit is None and self.limit_from is not LimitFrom.START:
            raise SettingsError(
                f"--limit-from {self.limit_from}: says where --limit takes its items from; add --limit N"
            )
        _check_count("--batch-size", self.batch_size, f"the default is {DEFAULT_BATCH_SIZE}")
        _check_count("--threads", self.threads, "leave it out to have it measured")
        if not 0 < self.min_window_s < math.inf:
            raise SettingsError(f"--min-window {self.min_window_s}: must be more than 0 seconds")
        if not 0 <= self.idle_s < math.inf:
            raise SettingsError(f"--idle-seconds {self.idle_s}: must be 0 or more; 0 leaves idle power out")
        if self.carbon_intensity is not None and not 0 <= self.carbon_intensity < math.inf:
            raise SettingsError(f"--carbon-intensity {self.carbon_intensity}: must be 0 or more (g/kWh)")
        if self.carbon_intensity is not None and self.country is not None:
            raise SettingsError("--carbon-intensity and --country both set the carbon intensity; give only one of them")
        if self.calibration is not None:
            try:
                self.calibration.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(
                    f"--calibration {self.calibration}: not a readable text ({error}); give a UTF-8 text file"
                ) from error
        if self.results_dir.exists() and not self.results_dir.is_dir():
            raise SettingsError(
                f"--results-dir {str(self.results_dir)!r} is a file; records need a folder: choose another path"
            )

    @property
    def items(self) -> ItemChoice:
        """Which items the cases of the run score."""
        return ItemChoice(self.limit, self.limit_from, self.samples)


def given_folder(text: str) -> Path:
    """The results folder that a user typed, relative to the working folder; `~` is the home folder.

    Raises:
        SettingsError: if it is blank.
    """
    if not text.strip():
        raise SettingsError("--results-dir is blank; name a folder, for example --results-dir=/drive/glu")
    return Path(text).expanduser()


def parse_dtype(text: str) -> DType:
    """The dtype called `text`.

    Raises:
        SettingsError: for an unknown name.
    """
    try:
        return DType(text)
    except ValueError:
        raise SettingsError(f"--dtype {text!r} is unknown; choose one of {', '.join(DType)}") from None


def check_divisor(divisor: int) -> int:
    """Return `divisor` if OptiPFair supports it.

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
