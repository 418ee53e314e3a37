"""Preparation of a (model, level): find, load, prune and check its weights, and wrap it as an lm-eval model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError
from glu_lib.machine.environment import Environment, count_workers, setup_environment
from glu_lib.machine.memory import peak_memory
from glu_lib.machine.threads import ThreadChoice
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.fixed_text import held_out_rows
from glu_lib.models.identity import ModelIdentity, random_identity, resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.models.pruning import Texts, prune
from glu_lib.models.shapes import check_architecture
from glu_lib.results.store import Store
from glu_lib.run.calibration import calibration_batches
from glu_lib.run.same_neurons import check_same_neurons
from glu_lib.study import Control, ModelVariant, Study
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings, Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(slots=True)
class Preparation:
    """Prepares the models of one run; identities, thread counts and token ids are cached."""

    settings: Settings
    study: Study
    environment: Environment
    store: Store
    library: TaskLibrary
    threads: ThreadChoice = field(init=False)
    _identities: dict[str, ModelIdentity | AccessError] = field(default_factory=dict)
    _encodings: dict[str, Encodings] = field(default_factory=dict)
    _is_set_up: bool = False

    def __post_init__(self) -> None:
        self.threads = ThreadChoice(self.settings.threads, count_workers())

    def identity(self, variant: ModelVariant) -> ModelIdentity:
        """The exact weights that `variant` refers to; resolved once per run.

        Raises:
            AccessError: if they cannot be resolved; the error is cached too and raised at every call.
        """
        if variant.key not in self._identities:
            find = random_identity if self.settings.weights is Weights.RANDOM else resolve_identity
            try:
                self._identities[variant.key] = find(variant)
            except AccessError as error:
                self._identities[variant.key] = error
        found = self._identities[variant.key]
        if isinstance(found, AccessError):
            raise found
        return found

    def prepare(self, variant: ModelVariant, pruning: Pruning) -> PreparedModel:
        """Load `variant` and prune it.

        Raises:
            AccessError: if the weights cannot be loaded; as CalibrationError, if the calibration text cannot.
            VerificationError: if the pruned model is wrong, or kept other neurons than in an earlier record.
        """
        self._set_up()
        identity = self.identity(variant)
        load = partial(load_model, is_untrained=True) if pruning.control is Control.UNTRAINED else load_model
        with peak_memory(self.environment.device) as loading:
            loaded = load(variant, identity, self.environment)
        check_architecture(variant, loaded.model)
        threads = self.threads.apply(loaded.model, self.environment, variant.key)
        with peak_memory(self.environment.device) as cutting:
            result = prune(loaded.model, pruning, self.texts(variant, loaded.tokenizer))
        if not self.settings.rerun:
            wanted: dict[str, Any] = {"model version": identity.version, "dtype": str(self.environment.dtype)}
            # Without these fields, a record copied here from another level would be compared.
            wanted |= {"percent": pruning.percent, "method": str(pruning.method), "divisor": pruning.divisor}
            wanted |= {"scores": pruning.scores.digest} if pruning.scores else {}
            check_same_neurons(self.store, variant, pruning, wanted, result)
        lm = wrap_model(
            loaded.model,
            loaded.tokenizer,
            batch_size=self.settings.batch_size,
            scorer=self.settings.scorer,
            encodings=self._encodings_of(variant),
        )
        memory = {"loading": loading.as_dict(), "pruning": cutting.as_dict()}
        return PreparedModel(loaded, result, threads, lm, memory)

    def texts(self, variant: ModelVariant, tokenizer: PreTrainedTokenizerBase) -> Texts:
        """The texts that pruning may need: for calibration, and for the activations of the removed neurons."""
        calibration = partial(calibration_batches, variant, tokenizer, self.library, self.study, self.settings)
        return Texts(calibration, lambda: [{"input_ids": held_out_rows(variant, tokenizer, rows=1)}])

    def _encodings_of(self, variant: ModelVariant) -> Encodings:
        """Cache of token ids, shared by the levels of one model; the previous model's cache is dropped."""
        if variant.key not in self._encodings:
            self._encodings = {variant.key: Encodings()}
        return self._encodings[variant.key]

    def _set_up(self) -> None:
        if not self._is_set_up:
            setup_environment(self.settings)
            self._is_set_up = True
