"""Model variants with their pruning levels, and the controls that are scored beside the levels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture
from glu_lib.study.asked import MAX_PERCENT, Asked, Level
from glu_lib.study.keys import check_key
from glu_lib.study.layers import Layers

_GGUF_NAME = re.compile(r"[\w-][\w.-]*\.gguf", re.ASCII)


class VariantKind(StrEnum):
    """How a model variant was trained; decides its default suites."""

    BASE = "base"
    INSTRUCT = "instruct"


class Control(StrEnum):
    """A model that is scored beside the levels and is none of them; the value is its key in case ids.

    Without MLP, all neurons are off and attention, embeddings and norms stay: where the curve of a model must end.
    Untrained is a model of the same shape with random weights.
    """

    NO_MLP = "nomlp"
    UNTRAINED = "untrained"

    @property
    def label(self) -> str:
        """The control as printed."""
        return "no MLP" if self is Control.NO_MLP else str(self)


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A row of the study: a model's key, its source, and its pruning levels.

    `source` is a hub id, a folder, or `embedded` for the model that ships with the package. A level is a percentage, or
    what is wanted (`Asked`). `layers` are the layer sets that are pruned, None for all layers; empty: those of the run.
    `gguf` names a GGUF file in the source, whose weights are dequantized on loading; None for safetensors.
    `baseline` is the key of the model that a recovered or foreign checkpoint is compared with, `level` the level of
    that model with the same widths (None: its own widths decide). Such a checkpoint has the level p0 alone, as saved.
    """

    key: str
    source: str
    kind: VariantKind
    levels: tuple[Level, ...]
    revision: str = "main"
    architecture: Architecture | None = None
    layers: tuple[Layers | None, ...] = ()
    gguf: str | None = None
    baseline: str | None = None
    level: Level | None = None

    def __post_init__(self) -> None:
        check_key("model", self.key)
        for name in ("source", "revision"):
            if not getattr(self, name).strip():
                raise StudyError(f"model {self.key!r}: {name} is empty; give a {name}")
        if self.gguf is not None and not _GGUF_NAME.fullmatch(self.gguf):
            raise StudyError(
                f"model {self.key!r}: gguf {self.gguf!r} is no name of a GGUF file; name a file of the source "
                "that ends in .gguf, without its folder"
            )
        if not self.levels:
            raise StudyError(f"model {self.key!r} has no levels; give at least one pruning percentage")
        self._check_baseline()
        percents = sorted({level for level in self.levels if not isinstance(level, Asked)})
        for percent in percents:
            if not 0 <= percent <= MAX_PERCENT:
                raise StudyError(
                    f"level {percent} of model {self.key!r} is outside 0–{MAX_PERCENT} per cent; choose one inside"
                )
        for percent, other in permutations(percents, 2):
            if str(other).startswith(str(percent)):
                raise StudyError(
                    f"levels {percent} and {other} of model {self.key!r}: "
                    f"-k p{percent} would select both; leave one out"
                )

    def _check_baseline(self) -> None:
        if self.level is not None and self.baseline is None:
            raise StudyError(
                f"model {self.key!r}: level {self.level} without a baseline; name the model that has this level: "
                "baseline = 'llama1b', or list what to prune in levels"
            )
        if self.baseline is not None and self.levels != (0,):
            raise StudyError(
                f"model {self.key!r}: levels {', '.join(map(str, self.levels))} beside baseline {self.baseline!r}; a "
                "checkpoint is compared as it was saved: leave levels out, or leave baseline out to prune it"
            )
        if isinstance(self.level, int) and not 1 <= self.level <= MAX_PERCENT:
            raise StudyError(
                f"model {self.key!r}: level {self.level} is outside 1–{MAX_PERCENT} per cent; choose one inside, or "
                "leave it out for a checkpoint that is not pruned"
            )

    @property
    def is_embedded(self) -> bool:
        """Whether the weights ship with the package."""
        return self.source == "embedded"
