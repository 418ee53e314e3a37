"""A loaded and pruned model, ready for every case of its (model, level)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.models.loading import LoadedModel, release_memory
from glu_lib.models.pruning import PruningResult

if TYPE_CHECKING:
    from glu_lib.measure.scoring.kept_hflm import KeepingHFLM


@dataclass(slots=True)
class PreparedModel:
    """The model with its tokenizer, what pruning gave, torch's threads, the lm-eval model around it, memory used."""

    loaded: LoadedModel
    pruning: PruningResult
    threads: int | None
    lm: KeepingHFLM
    memory: dict[str, Any]

    @property
    def parameter_bytes(self) -> int:
        """Size of the weights in memory."""
        return self.pruning.parameters * self.loaded.model.dtype.itemsize

    def release(self) -> None:
        """Drop the model whoever still holds this object, and give its memory back."""
        del self.loaded, self.lm
        release_memory()
