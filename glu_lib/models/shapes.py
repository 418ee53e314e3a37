"""Models without weights: built on the meta device, counted, compared with the study."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError
from glu_lib.models.glu import import_optipfair
from glu_lib.study import ModelVariant
from glu_lib.study.architecture import FAMILIES, Architecture
from glu_lib.study.costs import CONTEXT_TOKENS, AttentionShape

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PretrainedConfig, PreTrainedModel

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# The fields of a declared shape that determine its parameter count, with their names in transformers' configurations.
_SHAPE_FIELDS = {
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "vocab_size": "vocab_size",
    "tied_embeddings": "tie_word_embeddings",
}


def build_on_meta(shape: Architecture) -> PreTrainedModel:
    """A model of the shape on the meta device, that is without weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config_of(shape), trust_remote_code=False)
    return model


def config_of(shape: Architecture) -> PretrainedConfig:
    """The transformers configuration for a model of the shape and its family."""
    from transformers import AutoConfig

    may_have_bias = FAMILIES[shape.family].may_have_bias
    config: PretrainedConfig = AutoConfig.for_model(
        shape.family,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocab_size,
        tie_word_embeddings=shape.tied_embeddings,
        max_position_embeddings=shape.max_positions,
        rms_norm_eps=shape.rms_norm_eps,
        pad_token_id=None,  # the default of some families is beyond a small vocabulary
        rope_parameters={"rope_theta": shape.rope_theta, "rope_type": "default", **dict(shape.rope_scaling)},
        **({"attention_bias": shape.attention_bias} if may_have_bias else {}),
    )
    return config


def count_parameters(model: Module) -> int:
    """Number of parameters of a model; tied ones are counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def attention_shape(model: PreTrainedModel) -> AttentionShape | None:
    """Shape of attention and LM head, read from the weights; None if it does not say the model's costs.

    That is where layers differ, where queries, keys, values and output are not plain projections of heads, and where
    layers attend to fewer keys than `CONTEXT_TOKENS`.
    """
    rows = getattr(model.get_output_embeddings(), "weight", ())
    config = model.config
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    found = {_heads(layer) for layer in import_optipfair().get_model_layers(model)}
    if not len(rows) or len(found) != 1 or None in found or (window is not None and window < CONTEXT_TOKENS):
        return None
    (heads,) = found
    return AttentionShape(*heads, vocab_size=len(rows)) if heads else None


def _heads(layer: Any) -> tuple[int, int, int] | None:
    """Heads of queries, heads of keys, and size of a head of one layer; None if it has no plain attention."""
    attention = getattr(layer, "self_attn", None)
    size = getattr(attention, "head_dim", None)
    parts: list[Any] = [getattr(attention, name, None) for name in _ATTENTION]
    if not size or any(getattr(part, "weight", None) is None for part in parts):
        return None
    query, key, value, output = (part.weight.shape for part in parts)  # (out, in) each
    if query != tuple(reversed(output)) or key != value or query[0] % size or key[0] % size:
        return None
    return query[0] // size, key[0] // size, size


def check_architecture(variant: ModelVariant, model: PreTrainedModel) -> None:
    """Compare the loaded model's shape with the one that the study declares, or its configuration has.

    Raises:
        AccessError: if they differ, because then the widths and ratios of all levels are wrong.
    """
    if variant.architecture is None:
        return
    # A configuration of unlike layers refuses to say what differs between them.
    is_unlike = getattr(model.config, "is_heterogeneous", False)
    found = {
        name: getattr(model.config, theirs, None)
        for name, theirs in _SHAPE_FIELDS.items()
        if not (is_unlike and name == "intermediate_size")
    }
    _compare(variant, found, count_parameters(model))


def check_against(variant: ModelVariant, own: Architecture) -> None:
    """Compare the shape that the study declares with that of the model's own configuration.

    Raises:
        AccessError: if they differ.
    """
    _compare(variant, {name: getattr(own, name) for name in _SHAPE_FIELDS}, own.parameters())


def _compare(variant: ModelVariant, sizes: Mapping[str, Any], parameters: int) -> None:
    shape = variant.architecture
    if shape is None:
        return
    for name, found in sizes.items():
        declared = getattr(shape, name)
        if found is not None and declared != found:  # some configurations do not set head_dim
            raise AccessError(
                f"model {variant.key}: the study declares {name} {declared}, the weights have {found}; "
                "correct the study or the model's source"
            )
    if (expected := shape.parameters()) == parameters:
        return
    if not shape.is_declared:
        raise AccessError(
            f"model {variant.key}: a {shape.family} of its configuration's shape has {expected:,} parameters, but the "
            f"model has {parameters:,}; report this as a bug, with its config.json"
        )
    raise AccessError(
        f"model {variant.key}: a Llama of the declared shape has {expected:,} parameters, but the model has "
        f"{parameters:,} (it may have biases or other norms); remove its architecture from the study"
    )


def set_layer_widths(model: PreTrainedModel) -> None:
    """Write the widths of the layers into the model's configuration, as transformers' per-layer configuration.

    A model whose layers have one width is left as it is.

    Raises:
        AccessError: if transformers cannot build this architecture with unlike widths.
    """
    import torch
    from transformers import AutoModelForCausalLM

    widths = [layer.mlp.gate_proj.out_features for layer in import_optipfair().get_model_layers(model)]
    if len(set(widths)) == 1:
        return
    config = copy.deepcopy(model.config)
    own: dict[int | str, dict[str, Any]] = {
        str(index): {"intermediate_size": width} for index, width in enumerate(widths)
    }
    try:
        config.per_layer_config = own
        with torch.device("meta"):
            built = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        found = [layer.mlp.gate_proj.out_features for layer in import_optipfair().get_model_layers(built)]
    except (AttributeError, RuntimeError, TypeError, ValueError, KeyError):
        found = []
    if found != widths:
        raise AccessError(
            f"{type(model).__name__} cannot be saved with layers of unlike widths: this version of transformers builds "
            "all its layers with one; prune all layers, or share the recipe (model, level, method, layers) instead"
        )
    model.config.per_layer_config = own
