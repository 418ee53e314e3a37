"""The rows of a running batch: which prompt sits where, how far its answer is, and what it attends to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.shared_attention import Span

# A span costs a call of the attention kernel in every layer, about as much time as reading this many cached tokens.
_CALL_TOKENS = 64


@dataclass(slots=True)
class Seat:
    """A prompt in the batch: `made` are its new tokens so far, `cached` the own tokens in the cache."""

    prompt: Tokens
    made: list[int]
    cached: int = 0


def span_ends(lengths: Sequence[int], call_tokens: int = _CALL_TOKENS) -> Iterator[tuple[int, int, int]]:
    """Divide rows into spans of similar lengths: (first row, row after the last, largest length) of each.

    A row is added to a span if that pads fewer than `call_tokens` tokens, what a further span would cost.
    """
    start, longest = 0, 0
    for row, length in enumerate(lengths):
        padded = (row - start) * (length - longest) if length > longest else longest - length
        if row > start and padded >= call_tokens:
            yield start, row, longest
            start, longest = row, length
        longest = max(longest, length)
    if lengths:
        yield start, len(lengths), longest


def spans(lengths: Sequence[int], device: torch.device, dtype: torch.dtype) -> list[Span]:
    """The spans of a decoding step whose rows have `lengths` tokens of their own; one span on a GPU."""
    found = []
    for start, stop, longest in span_ends(lengths) if device.type == "cpu" else [(0, len(lengths), max(lengths))]:
        mask = None
        own = lengths[start:stop]
        if min(own) < longest:
            hidden = torch.arange(longest) >= torch.tensor(own)[:, None]
            mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None, None].to(device)
        found.append(Span(start, stop, longest, mask))
    return found
