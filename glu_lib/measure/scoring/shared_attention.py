"""Attention with grouped queries that attends once to a beginning shared by all rows (registered as `glu_shared`).

Queries of several rows attend to a shared beginning in one matrix product, and to their own tokens row by row; the two
parts are joined by their softmax sums, as in Hydragen (arXiv:2402.05099) and bifurcated attention (arXiv:2403.08845).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from glu_lib.measure.scoring.softmax_part import Part
from glu_lib.study.settings import Attention

NAME = Attention.SHARED.value
# Options of other attention functions that change the result.
_UNKNOWN_OPTIONS = ("softcap", "s_aux", "position_bias", "head_mask")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Keys and values of the tokens with which all rows begin, held once.

    `keys` and `values` hold one tensor (1, key/value heads, tokens, head size) per layer; `tokens` is their number.
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    tokens: int


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring rows of a decoding step that attend to the first `length` tokens of their own.

    Each row has `new` tokens in the step; `first` is the place of the first one among all new tokens. `mask` (rows, 1,
    new, length), additive, hides what comes after a token; None if all see all.
    """

    start: int
    stop: int
    length: int
    mask: torch.Tensor | None = None
    new: int = 1
    first: int = 0

    def queries(self, packed: torch.Tensor) -> torch.Tensor:
        """Its part of the queries (new tokens, key/value heads, group, size): (rows, heads, new · group, size)."""
        mine = packed[self.first : self.first + self.new * (self.stop - self.start)]
        if self.new == 1:
            return mine
        rows, heads, _, size = self.stop - self.start, *mine.shape[1:]
        return mine.reshape(rows, self.new, heads, -1, size).transpose(1, 2).reshape(rows, heads, -1, size)

    def mask_of(self, group: int) -> torch.Tensor | None:
        """The mask of `queries`, or None."""
        return self.mask if self.mask is None or self.new == 1 else self.mask.repeat_interleave(group, dim=2)

    def by_token(self, found: torch.Tensor) -> torch.Tensor:
        """What `queries` found (rows, heads, new · group, size), as (new tokens, heads, group, size)."""
        if self.new == 1:
            return found
        rows, heads, _, size = found.shape
        apart = found.reshape(rows, heads, self.new, -1, size).transpose(1, 2)
        return apart.reshape(rows * self.new, heads, -1, size)


@dataclass(frozen=True, slots=True)
class View:
    """What the rows of a forward pass attend to, given to the model as the keyword `glu_view`.

    Without `spans` the attention mask covers the beginning and the own tokens; `is_band` says that it is a
    `causal_band`. `spans` belong to a decoding step, whose new tokens the model gets as rows of one token each, those
    of one row of the cache one after another; they replace the mask.
    """

    beginning: Beginning | None
    spans: Sequence[Span] = ()
    is_band: bool = False


def causal_band(block: int, most: int, dtype: torch.dtype) -> torch.Tensor:
    """An additive mask (1, 1, block, most + block) that holds the causal mask of every block of queries in a long row.

    The last `block` columns are a causal mask; all columns before are 0. The mask of queries `start` to `start + block`
    is the `start + block` columns that end so that the last query sees itself.

    Args:
        block: number of queries of a block.
        most: most keys.
        dtype: of the scores.
    """
    band = torch.zeros((block, most + block), dtype=dtype)
    band[:, most:].masked_fill_(torch.ones((block, block), dtype=torch.bool).triu(1), -torch.inf)
    return band[None, None]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    glu_view: View | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of the queries to a shared beginning and to the rows' own tokens; signature as in transformers.

    Args:
        module: the attention layer; its `layer_idx` selects the keys and values of the beginning.
        query: (rows, heads, new tokens, head size).
        key: own keys (rows, key/value heads, own tokens, head size).
        value: own values (rows, key/value heads, own tokens, value size).
        attention_mask: additive or boolean (rows or 1, 1, new tokens, beginning + own tokens), None for causal, or a
            `causal_band`.
        scaling: factor of the scores; None for 1 / √(head size).
        dropout: must be 0.
        is_causal: whether a missing mask means causal attention; None for the layer's own attribute.
        glu_view: the beginning and spans; None for plain attention.
        options: further options of transformers.

    Returns:
        The outputs (rows, new tokens, heads, value size), and None in place of attention weights.

    Raises:
        ValueError: for options that this function does not know, such as logit soft-capping or attention sinks.
    """
    changed = [name for name in _UNKNOWN_OPTIONS if options.get(name) is not None]
    if changed or dropout:
        raise ValueError(f"{NAME} attention does not know {', '.join(changed) or 'dropout'}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if glu_view is not None and glu_view.spans:
        return _decoded(module, query, key, value, glu_view, scale), None
    if glu_view is not None and glu_view.beginning is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        rows = len(query)
        key = torch.cat([glu_view.beginning.keys[layer].expand(rows, -1, -1, -1), key], dim=2)
        value = torch.cat([glu_view.beginning.values[layer].expand(rows, -1, -1, -1), value], dim=2)
    if glu_view is not None and glu_view.is_band and attention_mask is not None:
        return _in_blocks(query, key, value, attention_mask, scale).transpose(1, 2), None
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    return _grouped(query, key, value, attention_mask, scale, causal=causal).transpose(1, 2), None


def _grouped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    *,
    causal: bool,
) -> torch.Tensor:
    """PyTorch's attention without repeated keys and values: (rows, heads, new tokens, value size)."""
    rows, heads, new, _ = query.shape
    if new == 1 and (mask is None or mask.shape[1] == 1):
        found = F.scaled_dot_product_attention(_packed(query, key), key, value, attn_mask=mask, scale=scale)
        return found.reshape(rows, heads, 1, -1)
    if mask is not None and query.is_cuda and heads != key.shape[1]:
        # With a mask, CUDA's fast kernels want a key/value head for each head.
        key, value = (states.repeat_interleave(heads // key.shape[1], dim=1) for states in (key, value))
    grouped = heads != key.shape[1]
    causal = causal and mask is None and new > 1
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=grouped
    )


def _in_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, band: torch.Tensor, scale: float
) -> torch.Tensor:
    """Causal attention of the last tokens, block by block of a `causal_band`: (rows, heads, new tokens, value size)."""
    new, past = query.shape[2], key.shape[2] - query.shape[2]
    block, width = band.shape[2:]
    parts = []
    for start in range(0, new, block):
        stop = min(new, start + block)
        first = width - (past + start + block)
        mask = band[:, :, : stop - start, first : first + past + stop]
        seen = key[:, :, : past + stop], value[:, :, : past + stop]
        parts.append(_grouped(query[:, :, start:stop], *seen, mask, scale, causal=False))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _packed(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """One query per head and row (rows, heads, 1, size) as (rows, key/value heads, group, size)."""
    rows, heads, _, size = query.shape
    return query.reshape(rows, key.shape[1], heads // key.shape[1], size)


def _decoded(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, view: View, scale: float
) -> torch.Tensor:
    """The outputs (new tokens, 1, heads, value size) of a decoding step; `query` is (new tokens, heads, 1, size)."""
    tokens, heads, _, _ = query.shape
    packed = _packed(query, key)
    group = packed.shape[2]
    seen = [
        (
            span.queries(packed),
            key[span.start : span.stop, :, : span.length],
            value[span.start : span.stop, :, : span.length],
            span.mask_of(group),
        )
        for span in view.spans
    ]
    if view.beginning is None:
        found = [
            span.by_token(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale))
            for span, (q, k, v, mask) in zip(view.spans, seen, strict=True)
        ]
        return (found[0] if len(found) == 1 else torch.cat(found)).reshape(tokens, 1, heads, -1)
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    own = [Part.of(*those, scale).each(span.by_token) for span, those in zip(view.spans, seen, strict=True)]
    groups, size = packed.shape[1:3], packed.shape[-1]
    together = packed.transpose(0, 1).reshape(1, groups[0], tokens * groups[1], size)  # all rows' queries
    shared = Part.of(together, view.beginning.keys[layer], view.beginning.values[layer], None, scale).apart(tokens)
    joined = shared.joined(own[0] if len(own) == 1 else Part.cat(own))
    return joined.to(query.dtype).reshape(tokens, 1, heads, -1)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
