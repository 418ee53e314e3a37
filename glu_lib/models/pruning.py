"""Prune a model in place, or turn its MLPs off, and describe the result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from glu_lib.models.cut import Cut, Texts
from glu_lib.models.glu import PROJECTIONS, glu_layers
from glu_lib.models.pruning_result import PruningResult
from glu_lib.models.shapes import count_parameters
from glu_lib.study import Control
from glu_lib.study.pruning import Pruning

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def prune(model: PreTrainedModel, pruning: Pruning, texts: Texts | None = None) -> PruningResult:
    """Remove neurons from the MLPs of the layers that `pruning` names, in place, and verify every layer.

    Args:
        model: a GLU model whose gate, up and down projections have the same width in all layers; at p0 and for controls
            they may differ from layer to layer.
        pruning: percentage, method, divisor and layers, or a control: without MLP all neurons are removed.
        texts: what the method `hybrid` is calibrated on, and the fixed text for the activations of the record.

    Returns:
        Widths, parameter counts, the fingerprint of the kept neurons, and what was removed.

    Raises:
        AccessError: if `model` is not a GLU model, or a score file does not fit it.
        StudyError: if the model lacks a layer that `pruning` names.
        VerificationError: if a width differs from the requested one, or a kept weight differs from the original.
    """
    layers = glu_layers(model, is_pruned=pruning.selects)
    unpruned_parameters = count_parameters(model)
    start_s = time.perf_counter()
    cut = Cut(model, pruning, texts or Texts())
    if pruning.control is Control.NO_MLP:
        for layer in layers:
            _turn_off(layer.mlp)
    for index in pruning.pruned_layers(len(layers)):
        cut.prune_layer(index)
    return cut.result(unpruned_parameters, time.perf_counter() - start_s)


def _turn_off(mlp: Any) -> None:
    """Remove all neurons of an MLP, and its output's bias: its output is zero."""
    import torch

    for name in PROJECTIONS:
        projection = getattr(mlp, name)
        kept = projection.weight.detach()
        kept = kept[:, :0] if name == "down_proj" else kept[:0]
        # A copy: a view would keep the original weights in memory.
        projection.weight = torch.nn.Parameter(kept.clone())
        projection.bias = None
        projection.out_features, projection.in_features = projection.weight.shape
