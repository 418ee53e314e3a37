"""Forward passes in pieces of bounded tokens: long prompts need no more memory than short ones, beside their cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

from glu_lib.measure.scoring.packing import Tokens, Tree
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.shared_attention import Beginning, View, causal_band
from glu_lib.measure.scoring.tree_mask import ancestors

if TYPE_CHECKING:
    from glu_lib.measure.scoring.forward import SharedForward

MOST_TOKENS = 2048  # of a piece: products of this many rows run at a processor's full speed
# Queries per call of the CPU's attention kernel. With a mask it computes hidden scores too: with 512 queries at a time,
# attention of 8192 tokens takes 1.10 times as long as in one causal call; with 2048, 1.28 times; with 1024, 1.17 times.
_BLOCK = 512


def new_cache(model: Any, seats: int, capacity: int) -> SeatCache:
    """An empty cache for a model's layers."""
    return SeatCache(model.config.get_text_config().num_hidden_layers, seats, capacity)


def forward_prefix(forward: SharedForward, prefix: Tokens) -> Beginning:
    """Keys and values of a prefix, computed in pieces.

    Raises:
        ValueError: if a layer of the model has no keys and values of its own.
    """
    cache = new_cache(forward.model, 1, len(prefix))
    for _states in _pieces(forward, torch.tensor([prefix]), cache, 0, None, MOST_TOKENS):
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
    for states in _pieces(forward, tokens, cache, start, beginning, MOST_TOKENS):
        end = offset + states.shape[1]
        for row, length in enumerate(lengths):
            if offset < length <= end:
                last[row] = states[row, length - 1 - offset]
        offset = end
    return torch.stack([states for states in last if states is not None])


def is_long(row: Sequence[Tree]) -> bool:
    """Whether a row is computed in pieces. Trees that share a row are short."""
    return len(row) == 1 and len(row[0].tokens) > MOST_TOKENS


def row_pieces(
    forward: SharedForward, tree: Tree, beginning: Beginning | None, size: int | None = None
) -> Iterator[torch.Tensor]:
    """Forward the tokens of a long tree; yields the hidden states (1, tokens, hidden) of each piece, in order.

    Args:
        forward: forward pass of the model, with the suite's attention in use.
        tree: tokens after the beginning.
        beginning: what all requests of the tree begin with; None for nothing.
        size: tokens of a piece; None for `MOST_TOKENS`.
    """
    cache = new_cache(forward.model, 1, len(tree.tokens))
    pieces = _pieces if tree.is_chain else partial(_tree_pieces, tree)
    yield from pieces(forward, torch.tensor([tree.tokens]), cache, 0, beginning, size or MOST_TOKENS)


def _pieces(
    forward: SharedForward, tokens: torch.Tensor, cache: SeatCache, start: int, beginning: Beginning | None, most: int
) -> Iterator[torch.Tensor]:
    """Forward `tokens` (rows, width) into seats from `start`, at most `most` at once; yields hidden states."""
    rows, width = tokens.shape
    past = 0 if beginning is None else beginning.tokens
    size = max(1, most // rows)
    device = forward.model.device
    # Padding is on the right, so one mask is for all rows.
    band = causal_band(min(_BLOCK, size, width), past + width, forward.model.dtype) if device.type == "cpu" else None
    for offset in range(0, width, size):
        piece = tokens[:, offset : offset + size]
        end = past + offset + piece.shape[1]
        positions = torch.arange(past + offset, end, device=device)
        arguments: dict[str, Any] = {}
        if past + offset and band is not None:
            arguments = {"attention_mask": band, "glu_view": View(beginning, is_band=True)}
        elif past + offset:  # (1, 1, new, end)
            causal = torch.arange(end, device=device) <= positions[:, None]
            arguments = {"attention_mask": causal[None, None], "glu_view": View(beginning)}
        cache.aim(start, start + rows, offset)
        yield forward.states(
            piece, position_ids=positions.expand(rows, -1), past_key_values=cache, use_cache=True, **arguments
        )


def _tree_pieces(
    tree: Tree,
    forward: SharedForward,
    tokens: torch.Tensor,
    cache: SeatCache,
    start: int,
    beginning: Beginning | None,
    most: int,
) -> Iterator[torch.Tensor]:
    """As `_pieces`, for one row whose tokens attend to their ancestors in `tree` only."""
    past = 0 if beginning is None else beginning.tokens
    device = forward.model.device
    allowed = F.pad(ancestors(tree), (past, 0), value=True)
    positions = torch.tensor([tree.depths], device=device) + past
    for offset in range(0, len(tree.tokens), most):
        end = min(len(tree.tokens), offset + most)
        cache.aim(start, start + 1, offset)
        yield forward.states(
            tokens[:, offset:end],
            position_ids=positions[:, offset:end],
            past_key_values=cache,
            use_cache=True,
            attention_mask=allowed[None, None, offset:end, : past + end].to(device),
            glu_view=View(beginning),
        )
