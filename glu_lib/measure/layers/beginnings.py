"""Perplexity of a model from one of its layers on: the outputs of the layers below are computed once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.models.glu import glu_layers_unchecked

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(slots=True)
class LayerRuns:
    """Runs a model on fixed rows of text, whole or from a layer on.

    `rows` are token ids (rows, tokens). `layers_run` counts the layers that were computed, `layers_whole` those that
    whole runs would have computed.
    """

    model: PreTrainedModel
    rows: torch.Tensor
    layers_run: int = 0
    layers_whole: int = 0
    layers: Sequence[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = glu_layers_unchecked(self.model)

    def whole(self) -> tuple[float, Beginnings]:
        """The log-perplexity of a whole run, and the outputs of every layer."""
        kept: list[list[Any]] = []
        total = 0.0
        for row in self.rows:
            outputs: list[Any] = []
            handles = [
                layer.register_forward_hook(lambda _m, _i, out, to=outputs: to.append(out)) for layer in self.layers
            ]
            try:
                total += self._loss(row, len(self.layers))
            finally:
                for handle in handles:
                    handle.remove()
            kept.append(outputs)
        return total / self.targets, Beginnings(kept)

    def from_layer(self, start: int, beginnings: Beginnings | None) -> float:
        """The log-perplexity of the model as it is now, whose layers below `start` are those of `beginnings`.

        Without beginnings the whole model is run.
        """
        if beginnings is None:
            start = 0
        total = 0.0
        for number, row in enumerate(self.rows):
            with _given(self.layers[:start], beginnings.outputs[number] if beginnings else ()):
                total += self._loss(row, len(self.layers) - start)
        return total / self.targets

    @property
    def targets(self) -> int:
        """Number of tokens that are predicted: all but the first of each row."""
        return int(self.rows.shape[0] * (self.rows.shape[1] - 1))

    def _loss(self, row: torch.Tensor, layers_run: int) -> float:
        """Sum of −log p over the tokens of a row but its first."""
        import torch

        ids = row.to(self.model.device)[None]
        with torch.no_grad():
            logits = self.model(input_ids=ids, use_cache=False).logits[0, :-1].float()  # (tokens − 1, vocabulary)
            loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").cpu().double().sum()
        self.layers_run += layers_run
        self.layers_whole += len(self.layers)
        return float(loss)


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The output of every layer for every row of text, as the layers returned it."""

    outputs: list[list[Any]]


@contextmanager
def _given(layers: Sequence[Any], outputs: Sequence[Any]) -> Iterator[None]:
    """Layers return these outputs in place of computing them."""
    for layer, output in zip(layers, outputs, strict=False):
        layer.forward = lambda *_args, _output=output, **_kwargs: _output
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)
