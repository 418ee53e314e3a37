"""Refuse a checkpoint, before loading it, that asks for code, kernels, another model's weights or pickles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from glu_lib.errors import AccessError
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.model_files import json_file, model_file
from glu_lib.study import ModelVariant

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Only files in the model's own folder: other files would not be part of the hash in the done key.
WEIGHTS = re.compile(r"[\w-][\w.-]*\.safetensors", re.ASCII)
# Attention implementations of torch. For other names transformers may download a kernel, which is code.
_ATTENTION = ("eager", "sdpa", "flex_attention")


def check_files(variant: ModelVariant, identity: ModelIdentity) -> None:
    """Refuse a model whose files refer to code, or to weights outside the model.

    `trust_remote_code=False` and `use_safetensors=True` are not enough. From a checkpoint's JSON files, transformers
    still loads adapters (with their base model and pickles), attention kernels from the hub, quantizers, and weights
    from any path.

    Raises:
        AccessError: one line naming the file, its content and the remedy.
    """
    if model_file(variant, identity, "adapter_config.json"):
        raise _refused(
            variant,
            "adapter_config.json makes it an adapter of another model; merge it into its base model and save that",
        )
    path = model_file(variant, identity, "config.json")
    config = json_file(variant, path) if path else {}
    if config.get("quantization_config") is not None:
        raise _refused(
            variant, "config.json says that it is quantized; only plain weights can be pruned: name a model with those"
        )
    for key, name in _implementations(config):
        if name not in _ATTENTION:
            raise _refused(
                variant, f"config.json sets {key} to {name!r}; remove it, or use one of {', '.join(_ATTENTION)}"
            )
    own = config.get("transformers_weights")
    if own is not None and not (isinstance(own, str) and WEIGHTS.fullmatch(own.removesuffix(".index.json"))):
        raise _refused(variant, f"config.json takes weights from {own!r}; name a *.safetensors file in the same folder")
    _check_shards(variant, identity, own if own and own.endswith(".index.json") else INDEX)


def named_weights(variant: ModelVariant, identity: ModelIdentity) -> str | None:
    """The weight file or index that config.json names instead of the default one; None if it names none."""
    path = model_file(variant, identity, "config.json")
    name = json_file(variant, path).get("transformers_weights") if path else None
    return None if name is None else str(name)


def _check_shards(variant: ModelVariant, identity: ModelIdentity, index: str) -> None:
    """Check that a weight index names only safetensors files in its own folder."""
    path = model_file(variant, identity, index)
    if path is None:
        return
    shards = json_file(variant, path).get("weight_map")
    for name in shards.values() if isinstance(shards, dict) else [shards]:
        if not (isinstance(name, str) and WEIGHTS.fullmatch(name)):
            raise _refused(variant, f"{index} takes weights from {name!r}; name *.safetensors files in the same folder")


def _implementations(config: Any) -> Iterator[tuple[str, Any]]:
    """The attention implementations that a configuration sets for the model and its parts, as (field, name)."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            for key, value in found.items():
                if key.endswith("attn_implementation"):
                    values = value.values() if isinstance(value, dict) else [value]
                    yield from ((key, name) for name in values if name is not None)
                else:
                    waiting.append(value)


def _refused(variant: ModelVariant, what: str) -> AccessError:
    return AccessError(f"model {variant.key} ({variant.source}) cannot be loaded: its {what}")
