"""Identities: the exact weights that each model variant refers to, resolved once per run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from glu_lib.errors import AccessError
from glu_lib.models.identity import ModelIdentity, random_identity, resolve_identity
from glu_lib.study import ModelVariant
from glu_lib.study.settings import Weights


@dataclass(slots=True)
class Identities:
    """The identities of a run's models, cached by the key of the variant."""

    weights: Weights
    _found: dict[str, ModelIdentity | AccessError] = field(default_factory=dict)

    def of(self, variant: ModelVariant) -> ModelIdentity:
        """The exact weights that `variant` refers to.

        Raises:
            AccessError: if they cannot be resolved; the error is cached too and raised at every call.
        """
        if variant.key not in self._found:
            find = random_identity if self.weights is Weights.RANDOM else resolve_identity
            try:
                self._found[variant.key] = find(variant)
            except AccessError as error:
                self._found[variant.key] = error
        found = self._found[variant.key]
        if isinstance(found, AccessError):
            raise found
        return found

    def adopt(self, found: Mapping[str, ModelIdentity]) -> None:
        """Take over identities that the driver of a cluster has found, by the key of the variant."""
        self._found.update(found)

    def on_hub(self) -> dict[str, ModelIdentity]:
        """The identities of hub models found so far: their commits hold on every machine, unlike paths of folders."""
        return {key: found for key, found in self._found.items() if isinstance(found, ModelIdentity) and found.commit}

    def stored_as(self, variants: Iterable[ModelVariant]) -> dict[str, str]:
        """How GGUF files held the weights of the models identified so far, by their keys."""
        found = ((variant.key, self._found.get(variant.key)) for variant in variants)
        return {
            key: identity.stored_as
            for key, identity in found
            if isinstance(identity, ModelIdentity) and identity.stored_as
        }
