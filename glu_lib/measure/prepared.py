"""A loaded and pruned model, shared by all cases of its (model, level)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.machine.memory import release_memory
from glu_lib.models.loading import LoadedModel
from glu_lib.models.pruning_result import PruningResult

if TYPE_CHECKING:
    from glu_lib.measure.scoring.kept_hflm import KeepingHFLM


@dataclass(slots=True)
class PreparedModel:
    """A model with its tokenizer, the pruning result, torch's thread count, its lm-eval model, and memory figures."""

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
        """Free the model's memory, even if this object is still referenced."""
        del self.loaded, self.lm
        release_memory()
