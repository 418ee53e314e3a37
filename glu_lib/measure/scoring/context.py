"""The context length within which a row's scores do not depend on the other rows of its batch. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Kinds of rotary embeddings whose frequencies change when the longest row of a batch exceeds the model's original
# context (transformers 5.23, `dynamic_rope_update`). Beyond it a token's keys depend on the other rows of the batch.
_CHANGING = ("dynamic", "longrope")
_ORIGINAL = "original_max_position_embeddings"


def fixed_context(config: Any) -> int | None:
    """The length in tokens within which a model's rotary embeddings do not change; None if they never change.

    Args:
        config: the model's configuration.
    """
    text = config.get_text_config()
    longest = getattr(text, "max_position_embeddings", None)
    changing = list(_changing(getattr(text, "rope_parameters", None)))
    lengths = [found.get(_ORIGINAL) or getattr(text, _ORIGINAL, None) or longest for found in changing]
    return min((length for length in lengths if isinstance(length, int)), default=None)


def _changing(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The parameter tables of changing rotary embeddings; some model families have one table per kind of layer."""
    if isinstance(parameters, Mapping):
        if parameters.get("rope_type") in _CHANGING:
            yield parameters
        for value in parameters.values():
            yield from _changing(value)
