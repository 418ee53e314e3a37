"""Neuron scores: pruning keeps the neurons with the highest ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.errors import VerificationError
from glu_lib.models.glu import import_optipfair
from glu_lib.study import Method
from glu_lib.study.methods import ScoreFile
from glu_lib.study.pruning import Pruning

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Batches = Sequence[Mapping[str, "torch.Tensor"]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration text in batches, and what it is: `calibration.txt, 4096 tokens`."""

    batches: Batches
    source: str


OPTIPFAIR_METHODS = (Method.PPM, Method.VOW, Method.PON, Method.L2)  # it computes these scores itself while pruning


def neuron_scores(
    mlp: Any, pruning: Pruning, *, layer: int, activation_norms: torch.Tensor | None = None
) -> torch.Tensor:
    """Importance of each neuron of a GLU MLP, shape (width,), float32; neurons with the highest scores are kept.

    PPM, VOW, PON and L2 are OptiPFair's functions of the rows of gate and up. `PPM_down` adds the PPM of the down
    projection's columns, the weights with which a neuron's activation enters the output: PPM(gate) + PPM(up) +
    PPM(down). `hybrid` is OptiPFair's product of two factors: the sum of the PPM of gate, up and down, each divided by
    its maximum; and `activation_norms`, the L2 norm of each neuron's activations on the calibration text, shape
    (width,). `random` is uniform in [0, 1), from a generator that depends only on seed and layer. `file` takes the
    vector that the user's file holds for the layer.

    Raises:
        VerificationError: if the score file does not fit the layer.
    """
    import torch

    gate: torch.Tensor = mlp.gate_proj.weight.detach()  # (width, hidden)
    up: torch.Tensor = mlp.up_proj.weight.detach()  # (width, hidden)
    if pruning.method is Method.RANDOM:
        assert pruning.seed is not None
        generator = torch.Generator().manual_seed(pruning.seed * 1000 + layer)
        return torch.rand(gate.shape[0], generator=generator)
    if pruning.method is Method.FILE:
        assert pruning.scores is not None
        return file_scores(pruning.scores, layer, gate.shape[0])
    mlp_glu = import_optipfair()
    down: torch.Tensor = mlp.down_proj.weight.detach()  # (hidden, width)
    scores: torch.Tensor
    if pruning.method is Method.HYBRID:
        scores = mlp_glu.compute_neuron_pair_importance_maw_hybrid(gate, up, down, activation_norms)
    elif pruning.method is Method.PPM_DOWN:
        ppm = mlp_glu.IMPORTANCE_FUNCTIONS[str(Method.PPM)]
        columns = down.float().T  # (width, hidden)
        scores = ppm(gate.float(), up.float()) + ppm(columns, torch.zeros_like(columns))
    else:
        scores = mlp_glu.IMPORTANCE_FUNCTIONS[str(pruning.method)](gate.float(), up.float())
    return scores


def file_scores(scores: ScoreFile, layer: int, width: int) -> torch.Tensor:
    """The scores of one layer from the user's file: the tensor whose name is the layer's number, (width,), float32.

    Raises:
        VerificationError: if the file cannot be read, has changed, or lacks a fitting, finite tensor.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    place = f"score file {scores.path}"
    try:
        data = scores.path.read_bytes()
        tensors: dict[str, torch.Tensor] = load(data)
    except (OSError, SafetensorError) as error:
        raise VerificationError(f"{place}: cannot be read ({error}); write it with safetensors") from error
    if hashlib.sha256(data).hexdigest() != scores.digest:
        raise VerificationError(f"{place}: has changed since the run began; start the run again")
    found = tensors.get(str(layer))
    if found is None:
        named = ", ".join(sorted(tensors)[:3])
        raise VerificationError(
            f"{place}: has no tensor {str(layer)!r} (it has {named or 'none'}{', …' if len(tensors) > 3 else ''}); it "
            "needs one vector per pruned layer, named by the layer's number from 0"
        )
    if tuple(found.shape) != (width,):
        raise VerificationError(
            f"{place}: tensor {layer} has shape {tuple(found.shape)}, the layer has {width} neurons"
        )
    scores32 = found.float() if found.is_floating_point() else found
    if not found.is_floating_point() or not bool(torch.isfinite(scores32).all()):
        raise VerificationError(f"{place}: tensor {layer} must hold floating-point numbers that are finite in float32")
    return scores32


def activation_norms_of(model: PreTrainedModel, batches: Batches) -> dict[int, torch.Tensor]:
    """Norms of the MLP activations on the calibration text, by layer."""
    optipfair = import_optipfair()
    handles = optipfair.setup_mlp_hooks_for_importance(model, model.device)
    try:
        optipfair.run_calibration_forward_passes(model, batches, model.device, show_progress=False)
        norms: dict[int, torch.Tensor] = optipfair.get_activation_norms()
    finally:
        for handle in handles:
            handle.remove()
    return norms
