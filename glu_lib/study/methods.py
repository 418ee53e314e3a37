"""Pruning methods: how the neurons that stay are chosen."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glu_lib.errors import StudyError

RANDOM_SEEDS = (1, 2, 3)  # of the method `random`: several draws, because one says nothing about chance
_LARGEST_SEED = 999_999
_FILE_KEY = re.compile(r"[a-z0-9][a-z0-9_]{0,29}")
_SCORES = "file:"


class Method(StrEnum):
    """How the kept neurons are selected. PPM is the study's name for the method that OptiPFair's API calls MAW."""

    PPM = "PPM"
    PPM_DOWN = "PPM_down"
    VOW = "VOW"
    PON = "PON"
    L2 = "L2"
    HYBRID = "hybrid"
    RANDOM = "random"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """A safetensors file of neuron scores; `digest` is the SHA-256 of its content."""

    path: Path
    digest: str

    @property
    def key(self) -> str:
        """The file's name in case ids."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Selection:
    """A pruning method with what it needs: the seed of `random`, the scores of `file`."""

    method: Method = Method.PPM
    seed: int | None = None
    scores: ScoreFile | None = None

    @property
    def key(self) -> str:
        """The method in case ids and tables: `PPM`, `random2`, `file_ours`."""
        if self.method is Method.RANDOM:
            return f"{self.method}{self.seed}"
        return f"{self.method}_{self.scores.key}" if self.scores else str(self.method)

    @classmethod
    def parse(cls, text: str) -> tuple[Selection, ...]:
        """The selections that `text` asks for: several seeds for `random`, one for all others.

        Names in upper or lower case; MAW is accepted for PPM, `random:7` is one seed, `file:NAME.safetensors` a file.

        Raises:
            StudyError: for an unknown name, a wrong seed, or a file that cannot be read.
        """
        if text.startswith(_SCORES):
            return (cls(Method.FILE, scores=_score_file(text.removeprefix(_SCORES))),)
        name, colon, seed = text.partition(":")
        wanted = "ppm" if name.lower() == "maw" else name.lower()
        for method in Method:
            if method.lower() == wanted and method is not Method.FILE and (method is Method.RANDOM or not colon):
                return tuple(cls(method, seed=number) for number in _seeds(text, method, seed if colon else None))
        names = ", ".join(method for method in Method if method is not Method.FILE)
        raise StudyError(
            f"method {text!r} is unknown; choose one of {names} (MAW means PPM, random:7 is one seed), or "
            "file:NAME.safetensors for scores of your own"
        )

    @classmethod
    def parse_one(cls, text: str) -> Selection:
        """The one selection called `text`.

        Raises:
            StudyError: as `parse`, and for `random` without a seed.
        """
        found = cls.parse(text)
        if len(found) > 1:
            raise StudyError(f"method {text!r} stands for {len(found)} seeds; name one, such as {text}:{found[0].seed}")
        return found[0]


def is_random(key: str | None) -> bool:
    """Whether `key` is the key of a random selection, `random` with its seed."""
    return key is not None and re.fullmatch(rf"{Method.RANDOM}\d*", key) is not None


def _seeds(text: str, method: Method, seed: str | None) -> tuple[int | None, ...]:
    if method is not Method.RANDOM:
        return (None,)
    if seed is None:
        return RANDOM_SEEDS
    if not (seed.isascii() and seed.isdigit() and int(seed) <= _LARGEST_SEED):
        raise StudyError(f"method {text!r}: the seed must be a whole number from 0 to {_LARGEST_SEED}, as in random:7")
    return (int(seed),)


def _score_file(name: str) -> ScoreFile:
    path = Path(name).expanduser()
    if path.suffix != ".safetensors" or not _FILE_KEY.fullmatch(path.stem):
        raise StudyError(
            f"method file:{name}: the file must be called NAME.safetensors, NAME of at most 30 lower-case letters, "
            "digits and _ (it is used in case ids); rename it"
        )
    try:
        return ScoreFile(path, hashlib.sha256(path.read_bytes()).hexdigest())
    except OSError as error:
        raise StudyError(f"method file:{name}: cannot be read ({error.strerror}); name an existing file") from error
