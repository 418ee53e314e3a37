"""Neuron scores: pruning keeps the neurons with the highest ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from glu_lib.errors import VerificationError
from glu_lib.study import Method
from glu_lib.study.cases import Pruning

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Batches = Sequence[Mapping[str, "torch.Tensor"]]


def neuron_scores(
    mlp: Any, method: Method, *, seed: int, layer: int, activation_norms: torch.Tensor | None = None
) -> torch.Tensor:
    """Importance of each neuron of a GLU MLP, shape (width,), float32; neurons with the highest scores are kept.

    PPM, VOW, PON and L2 are OptiPFair's functions of the rows of gate and up. `hybrid` is OptiPFair's product of two
    factors: the sum of the PPM of gate, up and down, each divided by its maximum; and `activation_norms`, the L2 norm
    of each neuron's activations on the calibration text, shape (width,). `random` is uniform in [0, 1), from a
    generator that depends only on seed and layer.
    """
    import torch

    gate: torch.Tensor = mlp.gate_proj.weight.detach()  # (width, hidden)
    up: torch.Tensor = mlp.up_proj.weight.detach()  # (width, hidden)
    if method is Method.RANDOM:
        generator = torch.Generator().manual_seed(seed * 1000 + layer)
        return torch.rand(gate.shape[0], generator=generator)
    import optipfair.pruning.mlp_glu as mlp_glu

    scores: torch.Tensor
    if method is Method.HYBRID:
        down = mlp.down_proj.weight.detach()  # (hidden, width)
        scores = mlp_glu.compute_neuron_pair_importance_maw_hybrid(gate, up, down, activation_norms)
    else:
        scores = mlp_glu.IMPORTANCE_FUNCTIONS[str(method)](gate.float(), up.float())
    return scores


def activation_norms_of(
    optipfair: ModuleType, model: PreTrainedModel, pruning: Pruning, calibration: Callable[[], Batches] | None
) -> dict[int, torch.Tensor]:
    """Norms of the MLP activations on the calibration text before pruning, by layer; {} unless method is hybrid."""
    if pruning.method is not Method.HYBRID or not pruning.percent:
        return {}
    if calibration is None:
        raise VerificationError("method hybrid needs calibration text; pass `calibration`")
    handles = optipfair.setup_mlp_hooks_for_importance(model, model.device)
    try:
        optipfair.run_calibration_forward_passes(model, calibration(), model.device, show_progress=False)
        norms: dict[int, torch.Tensor] = optipfair.get_activation_norms()
    finally:
        for handle in handles:
            handle.remove()
    return norms
