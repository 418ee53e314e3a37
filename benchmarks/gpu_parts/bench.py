"""What the units of one process share: setup, machine, device, measured rates, and the model at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from glu_lib.machine.memory import release_memory
from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType
from gpu_parts.networks import architecture, random_model, word_tokenizer, words
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records
from gpu_parts.setup import SEED, Setup

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Network:
    """A random model on the device, with its tokenizer and the tokenizer's words."""

    shape: Architecture
    dtype: DType
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    words: list[str]


@dataclass(slots=True)
class Bench:
    """The place where units are measured; one model is in memory at a time."""

    setup: Setup
    machine: dict[str, Any]
    _network: tuple[tuple[str, DType], Network] | None = field(default=None, repr=False)

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device(self.setup.device)

    @property
    def dtype(self) -> DType:
        """The dtype of speeds."""
        return self.setup.environment.dtype

    @property
    def rates(self) -> dict[str, Any] | None:
        """The machine's rates; None if they have not been measured."""
        return Records(self.setup.output).measured(Unit(Part.RATES))

    def shape(self, key: str) -> Architecture:
        """The shape of a model."""
        return architecture(key, is_tiny=self.setup.is_tiny)

    def network(self, key: str, dtype: DType | None = None) -> Network:
        """The random model called `key`; the one before is released."""
        wanted = (key, dtype or self.dtype)
        if self._network is None or self._network[0] != wanted:
            self.release()
            shape = self.shape(key)
            model = random_model(shape, wanted[1], self.setup.device, SEED)
            self._network = wanted, Network(shape, wanted[1], model, word_tokenizer(shape), words(shape))
        return self._network[1]

    def release(self) -> None:
        """Release the model at hand."""
        self._network = None
        release_memory()
