"""What pruning removed from each layer, in numbers that explain its harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glu_lib.models.glu import import_optipfair
from glu_lib.models.neuron_scores import Batches
from glu_lib.study import Method
from glu_lib.study.pruning import Pruning

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, one value per pruned layer, in the order of `layers`; shares are from 0 to 1.

    `score_share`: of the sum of the neuron scores; None for `random`, and if a score is negative. `down_norm_share`: of
    the squared Frobenius norm of the down projection. `activation_share`: of the squared norm of the neurons'
    activations (the inputs of the down projection) on the fixed text. Squares add up: the shares of removed and kept
    neurons give 1. `largest_activation`: the largest absolute activation of a removed neuron, `largest_of_all` that of
    any neuron of the layer. The last three are None without a text.
    """

    layers: list[int]
    score_share: list[float | None]
    down_norm_share: list[float | None]
    activation_share: list[float | None]
    largest_activation: list[float | None]
    largest_of_all: list[float | None]

    @classmethod
    def of(cls, found: Mapping[int, Mapping[str, float | None]]) -> Removed:
        """The table of the values of each layer."""
        names = [name for name in cls.__slots__ if name != "layers"]
        return cls(list(found), **{name: [values[name] for values in found.values()] for name in names})


@dataclass(frozen=True, slots=True)
class Activations:
    """The activations of a layer's neurons on a text, each (width,), float32: sum of squares over tokens, maximum."""

    squares: torch.Tensor
    largest: torch.Tensor


def activations_on(model: PreTrainedModel, batches: Batches) -> dict[int, Activations]:
    """The activations of all layers on a text, by layer: inputs of the down projections, in one pass over `batches`."""
    import torch

    squares: dict[int, torch.Tensor] = {}
    largest: dict[int, torch.Tensor] = {}

    def hook_of(index: int) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            found = inputs[0].detach().float().flatten(0, -2)  # (tokens, width)
            top = found.abs().amax(dim=0)
            squares[index] = squares.get(index, 0) + found.square().sum(dim=0)
            largest[index] = torch.maximum(largest[index], top) if index in largest else top

        return hook

    layers = import_optipfair().get_model_layers(model)
    handles = [layer.mlp.down_proj.register_forward_pre_hook(hook_of(index)) for index, layer in enumerate(layers)]
    try:
        with torch.no_grad():
            for batch in batches:
                model(**{name: tensor.to(model.device) for name, tensor in batch.items()}, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {index: Activations(found, largest[index]) for index, found in squares.items()}


def removed_of(
    kept: torch.Tensor,
    pruning: Pruning,
    scores: torch.Tensor,
    down: torch.Tensor,
    activations: Activations | None,
) -> dict[str, float | None]:
    """The values of `Removed` for one layer.

    Args:
        kept: indices of the kept neurons.
        pruning: the pruning, for its method.
        scores: the neuron scores, (width,).
        down: the down projection's weight before pruning, (hidden, width).
        activations: of the layer's neurons before pruning.
    """
    import torch

    is_removed = torch.ones(down.shape[1], dtype=torch.bool, device=down.device)
    is_removed[kept] = False
    has_mass = pruning.method is not Method.RANDOM and bool((scores >= 0).all())
    of_text = activations.largest[is_removed] if activations else None
    return {
        "score_share": _share(scores.to(down.device), is_removed) if has_mass else None,
        "down_norm_share": _share(down.float().square().sum(dim=0), is_removed),
        "activation_share": _share(activations.squares, is_removed) if activations else None,
        "largest_activation": _finite(of_text.max()) if of_text is not None else None,
        "largest_of_all": _finite(activations.largest.max()) if activations else None,
    }


def _share(values: torch.Tensor, is_removed: torch.Tensor) -> float | None:
    """The removed part of the sum of `values`; None if the sum is 0 or not finite."""
    import math

    values = values.cpu().double()  # a Mac's GPU has no float64
    total = float(values.sum())
    return float(values[is_removed.cpu()].sum()) / total if total and math.isfinite(total) else None


def _finite(value: torch.Tensor) -> float | None:
    import math

    return float(value) if math.isfinite(float(value)) else None
