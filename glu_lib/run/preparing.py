"""Preparation of a (model, level): load its weights, prune and check them, and wrap them as an lm-eval model."""

from __future__ import annotations

from dataclasses import dataclass, field

from glu_lib.machine.memory import peak_memory
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.prepared import PreparedModel
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.pruning import prune
from glu_lib.results.store import Store
from glu_lib.run.baseline_check import check_baseline
from glu_lib.run.calibration import pruning_texts
from glu_lib.run.loader import Loader
from glu_lib.run.same_neurons import check_same_neurons
from glu_lib.study import Control, ModelVariant, Study
from glu_lib.study.pruning import Pruning


@dataclass(slots=True)
class Preparation:
    """Prepares the models of one run; the token ids of a model are cached for all its levels."""

    loader: Loader
    study: Study
    store: Store
    library: TaskLibrary
    _encodings: dict[str, Encodings] = field(default_factory=dict)

    def prepare(self, variant: ModelVariant, pruning: Pruning) -> PreparedModel:
        """Load `variant` and prune it.

        Raises:
            AccessError: if the weights cannot be loaded, or do not fit the baseline that is named; as CalibrationError,
                if the calibration text cannot be loaded.
            VerificationError: if the pruned model is wrong, or kept other neurons than in an earlier record.
        """
        settings, environment = self.loader.settings, self.loader.environment
        loaded, threads, loading = self.loader.load(variant, is_untrained=pruning.control is Control.UNTRAINED)
        check_baseline(
            variant,
            loaded.model,
            loaded.tokenizer,
            study=self.study,
            identities=self.loader.identities,
            weight_bytes=environment.dtype.bytes,
        )
        texts = pruning_texts(variant, loaded.tokenizer, self.library, self.study, settings)
        with peak_memory(environment.device) as cutting:
            result = prune(loaded.model, pruning, texts)
        if not settings.rerun:
            wanted = {"model version": self.loader.identities.of(variant).version, "dtype": str(environment.dtype)}
            check_same_neurons(self.store, variant, pruning, wanted, result)
        lm = wrap_model(
            loaded.model,
            loaded.tokenizer,
            batch_size=settings.batch_size,
            scorer=settings.scorer,
            encodings=self._encodings_of(variant),
        )
        memory = {"loading": loading.as_dict(), "pruning": cutting.as_dict()}
        return PreparedModel(loaded, result, threads, lm, memory)

    def _encodings_of(self, variant: ModelVariant) -> Encodings:
        """Cache of token ids, shared by the levels of one model; the previous model's cache is dropped."""
        if variant.key not in self._encodings:
            self._encodings = {variant.key: Encodings()}
        return self._encodings[variant.key]
