"""Loading of a model for a run: set up torch once, load the weights, check their shape, choose the threads."""

from __future__ import annotations

import gc
import importlib
from dataclasses import dataclass, field
from functools import partial

from glu_lib.machine.environment import Environment, count_workers, setup_environment
from glu_lib.machine.memory import PeakMemory, peak_memory
from glu_lib.machine.threads import ThreadChoice
from glu_lib.models.loading import LoadedModel, load_model
from glu_lib.models.shapes import check_architecture
from glu_lib.run.identities import Identities
from glu_lib.study import ModelVariant
from glu_lib.study.settings import Settings

# What scoring imports in any case; the last one stands for all that models need of transformers.
_LIBRARIES = ("lm_eval.evaluator", "lm_eval.models.huggingface", "transformers.models.llama.modeling_llama")


@dataclass(slots=True)
class Loader:
    """Loads the unpruned models of one run; the number of threads is measured once per model."""

    settings: Settings
    environment: Environment
    identities: Identities
    threads: ThreadChoice = field(init=False)
    _is_set_up: bool = False

    def __post_init__(self) -> None:
        self.threads = ThreadChoice(self.settings.threads, count_workers())

    def load(self, variant: ModelVariant, *, is_untrained: bool) -> tuple[LoadedModel, int | None, PeakMemory]:
        """The weights of `variant`, torch's thread count (None on a GPU), and the memory that loading took.

        Args:
            variant: the model to load.
            is_untrained: whether it gets random weights of the same shape.

        Raises:
            AccessError: if the weights cannot be loaded or do not have the declared shape.
        """
        if not self._is_set_up:
            setup_environment(self.settings)
            _exempt_libraries()
            self._is_set_up = True
        load = partial(load_model, is_untrained=True) if is_untrained else load_model
        identity = self.identities.of(variant)
        with peak_memory(self.environment.device) as memory:
            loaded = load(variant, identity, self.environment)
        check_architecture(variant, loaded.model)
        return loaded, self.threads.apply(loaded.model, self.environment, variant.key), memory


def _exempt_libraries() -> None:
    """Keep the objects of imported libraries, some 400,000, out of all later garbage collections.

    Releasing a model's memory takes a collection, 0.3 s with them. This comes before the first model is loaded, because
    a model that is exempt would stay in memory.
    """
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
