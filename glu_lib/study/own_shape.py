"""The shape of a model by its own configuration, config.json; None rather than a wrong number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glu_lib.study.architecture import FAMILIES, Architecture

_SIZES = {
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_positions",
}
_UNLIKE = ("mlp_bias", "per_layer_config", "quantization_config")  # what a shape cannot say
_MOST = {"num_layers": 1000}  # more would be no model, and would take memory to count
_ROPE_THETA = 10000.0  # if the configuration has none, as of early Llamas; families with another one always have it


def shape_of(config: Mapping[str, Any]) -> Architecture | None:
    """The shape that a configuration describes, or None if it does not say enough, or says what is not known here.

    Args:
        config: the JSON object of a config.json. Model types other than those of FAMILIES give None, among them
            mixtures of experts and models whose projections are fused.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None or any(config.get(name) for name in _UNLIKE):
        return None
    sizes: dict[str, Any] = {ours: config.get(theirs) for theirs, ours in _SIZES.items()}
    sizes |= {"num_kv_heads": config.get("num_key_value_heads"), "head_dim": config.get("head_dim")}
    if sizes["num_kv_heads"] is None and config["model_type"] == "llama":
        sizes["num_kv_heads"] = sizes["num_heads"]  # other families have other defaults
    rope = _rope(config)
    epsilon = config.get("rms_norm_eps")
    flags: dict[str, Any] = {
        "tied_embeddings": config.get("tie_word_embeddings", family.tied_embeddings),
        "attention_bias": config.get("attention_bias", False) if family.may_have_bias else False,
    }
    if rope is None or not isinstance(epsilon, float) or not all(isinstance(flag, bool) for flag in flags.values()):
        return None
    if not all(_is_size(value, name) for name, value in sizes.items() if name != "head_dim"):
        return None
    if sizes["num_heads"] % sizes["num_kv_heads"]:
        return None
    if "head_dim" not in config or (sizes["head_dim"] is None and config["model_type"] in ("llama", "mistral")):
        sizes["head_dim"] = family.head_dim or sizes["hidden_size"] // sizes["num_heads"]
    if not _is_size(sizes["head_dim"], "head_dim") or sizes["head_dim"] % 2:
        return None
    theta, scaling = rope
    return Architecture(
        **sizes,
        **flags,
        rope_theta=theta,
        rope_scaling=scaling,
        rms_norm_eps=epsilon,
        family=config["model_type"],
        is_declared=False,
    )


def _is_size(value: Any, name: str) -> bool:
    return type(value) is int and 0 < value <= _MOST.get(name, value)


def _rope(config: Mapping[str, Any]) -> tuple[float, tuple[tuple[str, float | str], ...]] | None:
    """Base and scaling of the rotary embeddings; None if there are lists or tables among them."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, Mapping):
        return None
    scaling = {("rope_type" if name == "type" else name): value for name, value in found.items()}
    theta = scaling.pop("rope_theta", config.get("rope_theta", _ROPE_THETA))
    if not _is_plain(theta) or not all(isinstance(value, str) or _is_plain(value) for value in scaling.values()):
        return None
    if scaling.get("rope_type") == "default":
        del scaling["rope_type"]
    return float(theta), tuple(sorted(scaling.items()))


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
