"""Scores of neurons, by which pruning chooses those that stay."""

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
    """Importance of each neuron of a GLU MLP, shape (width,), float32; the highest stay.

    PPM, VOW, PON and L2 are OptiPFair's functions of the gate and up rows. `hybrid` is OptiPFair's
    (PPM of gate, up and down, each over its maximum, summed) × `activation_norms`, the L2 norm of each
    neuron's activations over the calibration text, shape (width,). `random` is uniform in [0, 1), from a
    generator seeded by seed and layer alone.
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
    """Norms of each layer's MLP activations on the calibration text, before anything is pruned; {} without it."""
    if pruning.method is not Method.HYBRID or not pruning.percent:
        return {}
    if calibration is None:
        raise VerificationError("method hybrid needs calibration text; none was given")
    handles = optipfair.setup_mlp_hooks_for_importance(model, model.device)
    try:
        optipfair.run_calibration_forward_passes(model, calibration(), model.device, show_progress=False)
        norms: dict[int, torch.Tensor] = optipfair.get_activation_norms()
    finally:
        for handle in handles:
            handle.remove()
    return norms
