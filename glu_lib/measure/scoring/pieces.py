"""Forward passes in pieces of bounded tokens: long prompts need no more memory than short ones, beside their cache.

Texts whose log-likelihood is asked need no cache. In one pass of 8191 tokens SmolLM2-135M takes less time and memory
than in pieces with a cache, so they are not divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.shared_attention import Beginning, View

if TYPE_CHECKING:
    from glu_lib.measure.scoring.forward import SharedForward

MOST_TOKENS = 2048  # of a piece: products of this many rows run at a processor's full speed


def new_cache(model: Any, seats: int, capacity: int) -> SeatCache:
    """An empty cache for a model's layers."""
    return SeatCache(model.config.get_text_config().num_hidden_layers, seats, capacity)


def forward_prefix(forward: SharedForward, prefix: Tokens) -> Beginning:
    """Keys and values of a prefix, computed in pieces.

    Raises:
        ValueError: if a layer of the model has no keys and values of its own.
    """
    cache = new_cache(forward.model, 1, len(prefix))
    for _states in _pieces(forward, torch.tensor([prefix]), cache, 0, 0, None):
        pass
    return cache.beginning(len(prefix))


def prefill(
    forward: SharedForward,
    suffixes: Sequence[Sequence[int]],
    cache: SeatCache,
    *,
    start: int,
    beginning: Beginning | None,
) -> torch.Tensor:
    """Write keys and values of prompts into seats; the hidden states (rows, hidden) of each prompt's last token.

    Args:
        forward: forward pass of the model.
        suffixes: the prompts' tokens after the beginning, at least one each. They are padded to the longest.
        cache: has room for the longest suffix.
        start: seat of the first prompt; the others follow.
        beginning: what all prompts begin with; None for nothing.
    """
    lengths = [len(suffix) for suffix in suffixes]
    tokens = torch.zeros((len(suffixes), max(lengths)), dtype=torch.long)
    for row, suffix in enumerate(suffixes):
        tokens[row, : len(suffix)] = torch.tensor(suffix)
    last: list[torch.Tensor | None] = [None] * len(suffixes)
    offset = 0
    for states in _pieces(forward, tokens, cache, start, 0 if beginning is None else beginning.tokens, beginning):
        end = offset + states.shape[1]
        for row, length in enumerate(lengths):
            if offset < length <= end:
                last[row] = states[row, length - 1 - offset]
        offset = end
    return torch.stack([states for states in last if states is not None])


def _pieces(
    forward: SharedForward,
    tokens: torch.Tensor,
    cache: SeatCache,
    start: int,
    past: int,
    beginning: Beginning | None,
) -> Iterator[torch.Tensor]:
    """Forward `tokens` (rows, width) into seats from `start`; yields the hidden states of each piece."""
    rows, width = tokens.shape
    size = max(1, MOST_TOKENS // rows)
    device = forward.model.device
    for offset in range(0, width, size):
        piece = tokens[:, offset : offset + size]
        end = offset + piece.shape[1]
        positions = torch.arange(past + offset, past + end, device=device)
        arguments: dict[str, Any] = {}
        if beginning is not None:  # padding is on the right, so one causal mask (1, 1, new, past + end) is for all rows
            seen = torch.arange(past + end, device=device)
            arguments = {"attention_mask": (seen <= positions[:, None])[None, None], "glu_view": View(beginning)}
        cache.aim(start, start + rows, offset)
        yield forward.states(
            piece, position_ids=positions.expand(rows, -1), past_key_values=cache, use_cache=True, **arguments
        )
