"""What a GLU model is: its layers, the projections of each MLP, and OptiPFair, which finds and prunes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
_GLU_ONLY = "this kind of width pruning does not apply; choose a Llama-style model"
_FUSED = "gate_up_proj"  # the name of gate and up projection in one matrix, in Phi-3 and others


def glu_layers(model: PreTrainedModel, *, is_pruned: bool = True) -> Sequence[Any]:
    """The decoder layers of `model`, each with a gate, an up and a down projection of the same width.

    Args:
        model: a causal language model.
        is_pruned: whether it is to be pruned: all layers then must have one width. A checkpoint that is only scored may
            have layers of unlike widths.

    Raises:
        AccessError: naming the model type, the first layer, counted from 0, of another kind or width, and the remedy.
    """
    name = f"model type {model.config.model_type} ({type(model).__name__}) cannot be pruned"
    layers: Sequence[Any] = import_optipfair().get_model_layers(model)
    if not layers:
        raise AccessError(f"{name}: {_without_layers(model)}")
    for index, layer in enumerate(layers):
        if fault := _fault(getattr(layer, "mlp", None)):
            raise AccessError(f"{name}: layer {index} (counting from 0) {fault}")
        if not is_pruned:
            continue
        first, found = layers[0].mlp.gate_proj, layer.mlp.gate_proj
        if (found.out_features, found.in_features) != (first.out_features, first.in_features):
            raise AccessError(
                f"{name}: layer {index} (counting from 0) has {found.out_features} neurons with "
                f"{found.in_features} inputs each, layer 0 has {first.out_features} with {first.in_features}; all "
                "layers must have the same width, choose another model"
            )
    return layers


def glu_layers_unchecked(model: PreTrainedModel) -> Any:
    """The decoder layers, whose widths may differ."""
    return import_optipfair().get_model_layers(model)


def _without_layers(model: PreTrainedModel) -> str:
    """The reason why no layers were found, and the remedy."""
    text: Any = getattr(model.config, "text_config", None)
    if text is None:
        return f"no decoder layers are found in it; {_GLU_ONLY}"
    return (
        "its decoder layers lie inside a multimodal model; save its language model alone, as model type "
        f"{text.model_type}"
    )


def _fault(mlp: Any) -> str:
    """The reason why OptiPFair cannot prune an MLP, and the remedy; empty if it can."""
    if mlp is None:
        return f"has no MLP; {_GLU_ONLY}"
    parts = {name: part for name, part in mlp.named_children() if next(part.parameters(), None) is not None}
    kind = type(mlp).__name__
    if any("experts" in name for name in parts):
        return f"is a mixture of experts ({kind}: {', '.join(parts)}), not one MLP; choose a dense model"
    if _FUSED in parts:
        return (
            f"has its gate and up projections in one matrix ({_FUSED} of {kind}); choose a checkpoint that holds them "
            "apart, such as one converted to model type llama"
        )
    if fault := _unlike(mlp, parts):
        return f"{fault}; {_GLU_ONLY}"
    return ""


def _unlike(mlp: Any, parts: Mapping[str, Any]) -> str:
    """How an MLP differs from three linear layers that fit together; empty if it does not."""
    import torch

    if missing := [name for name in PROJECTIONS if name not in parts]:
        have = f"; it has {', '.join(parts)}" if parts else ""
        return f"has no {', '.join(missing)} ({type(mlp).__name__}{have})"
    for name in PROJECTIONS:
        if not isinstance(parts[name], torch.nn.Linear):
            return f"has a {name} that is not a linear layer ({type(parts[name]).__name__})"
    # Other weights, such as a norm over the neurons, would keep their width.
    own = [name for name, _ in mlp.named_parameters(recurse=False)]
    if others := [name for name in (*parts, *own) if name not in PROJECTIONS]:
        return f"has {', '.join(others)} in addition to its projections ({type(mlp).__name__})"
    gate, up, down = (parts[name] for name in PROJECTIONS)
    if not (gate.weight.shape == up.weight.shape == down.weight.T.shape):
        shapes = ", ".join(f"{name} {'×'.join(map(str, parts[name].weight.shape))}" for name in PROJECTIONS)
        return f"has projections that do not fit together ({shapes})"
    return ""


def import_optipfair() -> ModuleType:
    """OptiPFair's pruning module; the changes of its import to the root logger are undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    import optipfair
    import optipfair.pruning.mlp_glu as mlp_glu

    root.handlers[:] = handlers
    root.setLevel(level)
    # Its warnings say less than the errors that are raised here in their place.
    logging.getLogger(optipfair.__name__).setLevel(logging.ERROR)
    return mlp_glu  # type: ignore[no-any-return]
