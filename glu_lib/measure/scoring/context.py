"""The context in which a model's scores do not depend on what is computed beside them; no torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Rotary embeddings whose frequencies change once the longest row of a batch is beyond the model's original context
# (transformers 5.23, `dynamic_rope_update`): beyond it a token's keys depend on what is computed beside it.
_CHANGING = ("dynamic", "longrope")
_ORIGINAL = "original_max_position_embeddings"


def fixed_context(config: Any) -> int | None:
    """The length within which a model's rotary embeddings stay the same, in tokens; None where they never change.

    Args:
        config: of the model.
    """
    text = config.get_text_config()
    longest = getattr(text, "max_position_embeddings", None)
    changing = list(_changing(getattr(text, "rope_parameters", None)))
    lengths = [found.get(_ORIGINAL) or getattr(text, _ORIGINAL, None) or longest for found in changing]
    return min((length for length in lengths if isinstance(length, int)), default=None)


def _changing(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The tables of rotary embeddings that change; some families have one for each kind of layer."""
    if isinstance(parameters, Mapping):
        if parameters.get("rope_type") in _CHANGING:
            yield parameters
        for value in parameters.values():
            yield from _changing(value)
