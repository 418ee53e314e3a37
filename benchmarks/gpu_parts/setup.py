"""The setup of a measurement: command line, device, models, parts, time; and what its records are bound to."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glu_lib.errors import SettingsError
from glu_lib.machine.environment import Environment, detect_environment
from glu_lib.study.settings import DType, Settings, parse_dtype
from gpu_parts.plan import MODELS, Part, Unit, units

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks/gpu.py"
SEED = 1234
SHORTEST_MINUTES = 0.1


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured, on which device, and where its records go; `minutes` is the time of one call.

    Raises:
        SettingsError: if `minutes` is below SHORTEST_MINUTES, in which no part gets anywhere.
    """

    output: Path
    environment: Environment
    models: tuple[str, ...] = MODELS
    parts: tuple[Part, ...] = tuple(Part)
    minutes: float = 9.0
    is_tiny: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        if not self.minutes >= SHORTEST_MINUTES:
            raise SettingsError(f"--minutes {self.minutes:g}: no part fits; give at least {SHORTEST_MINUTES:g}")

    @property
    def device(self) -> str:
        """The device as torch names it."""
        return self.environment.device

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def units(self) -> list[Unit]:
        """The chosen units, in order."""
        return units(self.models, self.parts)

    def binding(self) -> dict[str, Any]:
        """What all records of one folder have in common."""
        found = self.environment
        return {
            "device": found.gpu or found.cpu,
            "dtype": str(found.dtype),
            "torch": found.versions["torch"],
            "tiny": self.is_tiny,
        }

    def arguments(self) -> list[str]:
        """The command line that makes this setup again in another process."""
        found = ["--output", str(self.output), "--minutes", str(self.minutes), "--device", self.device]
        found += ["--dtype", str(self.environment.dtype), "--models", ",".join(self.models)]
        return [*found, "--parts", ",".join(self.parts), *(["--tiny"] if self.is_tiny else [])]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of the command line; the last three are for processes that the script itself starts."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--minutes", type=float, default=9.0, help="time of this call (default 9); the next one goes on")
    found.add_argument("--output", type=Path, help="folder of the records (default: results/measured/<gpu>)")
    found.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    found.add_argument("--dtype", help=f"{', '.join(DType)} (default: by device)")
    found.add_argument("--tiny", action="store_true", help="tiny shapes: a trial of the script, not a measurement")
    found.add_argument("--models", help=f"default: {','.join(MODELS)}; with --tiny {MODELS[0]}")
    found.add_argument("--parts", default=",".join(Part), help=f"default: {','.join(Part)}")
    found.add_argument("--again", action="store_true", help="measure parts again that failed")
    found.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    found.add_argument("--child", metavar="UNITS", help=argparse.SUPPRESS)
    found.add_argument("--until", type=float, metavar="S", help=argparse.SUPPRESS)
    return found


def setup_of(options: argparse.Namespace) -> Setup:
    """The setup that a command line describes.

    Raises:
        SettingsError: one line with the value, the rule and the choices.
    """
    dtype = parse_dtype(options.dtype) if options.dtype else None
    environment = detect_environment(Settings(device=options.device, dtype=dtype))
    models = ",".join(MODELS[:1] if options.tiny else MODELS) if options.models is None else options.models
    return Setup(
        output=(options.output or _default_output(environment, options.tiny)).absolute(),
        environment=environment,
        models=tuple(_chosen("--models", models, MODELS)),
        parts=tuple(Part(name) for name in _chosen("--parts", options.parts, list(Part))),
        minutes=options.minutes,
        is_tiny=options.tiny,
        again=options.again,
    )


def _default_output(environment: Environment, is_tiny: bool) -> Path:
    """Figures of a GPU are worth committing; trials and figures of a processor stay among a run's own results."""
    if environment.gpu is None or is_tiny:
        return ROOT / "results/gpu_trial"
    return ROOT / "results/measured" / re.sub(r"[^a-z0-9]+", "_", environment.gpu.lower()).strip("_")


def _chosen(option: str, text: str, known: Sequence[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise SettingsError(f"{option} {name!r} is unknown; choose from {', '.join(known)}")
    if not names:
        raise SettingsError(f"{option} is empty; choose from {', '.join(known)}")
    return names
