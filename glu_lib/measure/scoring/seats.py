"""The rows of a running batch: which prompt sits where, how far its answer is, and what it attends to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from glu_lib.measure.scoring.drafts import Lookup
from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.shared_attention import Span

# A span costs a call of the attention kernel in every layer, about as much time as reading this many cached tokens.
_CALL_TOKENS = 64


@dataclass(slots=True)
class Seat:
    """A prompt in the batch: `made` are its new tokens so far, `cached` the own tokens in the cache.

    `lookup` drafts its next tokens; None until it is seated. `drafted` is the length of the newest draft.
    """

    prompt: Tokens
    made: list[int]
    cached: int = 0
    lookup: Lookup | None = None
    drafted: int = 0

    def take_note(self, tokens: Sequence[int]) -> None:
        """Tell the lookup the newest tokens: the kept part of the draft and one more."""
        if self.lookup is not None:
            self.lookup.learn(self.drafted, len(tokens) - 1)
            self.lookup.add(tokens)


def span_ends(
    lengths: Sequence[int], call_tokens: int = _CALL_TOKENS, counts: Sequence[int] | None = None
) -> Iterator[tuple[int, int, int]]:
    """Divide rows into spans of similar lengths: (first row, row after the last, largest length) of each.

    A row is added to a span if that pads fewer than `call_tokens` tokens, what a further span would cost, and if it has
    as many new tokens (`counts`; None for one each).
    """
    start, longest = 0, 0
    for row, length in enumerate(lengths):
        padded = (row - start) * (length - longest) if length > longest else longest - length
        is_unlike = counts is not None and counts[row] != counts[start]
        if row > start and (padded >= call_tokens or is_unlike):
            yield start, row, longest
            start, longest = row, length
        longest = max(longest, length)
    if lengths:
        yield start, len(lengths), longest


def spans(
    lengths: Sequence[int], device: torch.device, dtype: torch.dtype, counts: Sequence[int] | None = None
) -> list[Span]:
    """The spans of a decoding step whose rows have `lengths` tokens of their own; one span on a GPU.

    Args:
        lengths: own tokens of each row, the new ones included.
        device: of the attention masks.
        dtype: of the attention masks.
        counts: new tokens of each row; None for one each. A GPU takes no others.
    """
    found, first = [], 0
    ends = span_ends(lengths, counts=counts) if device.type == "cpu" else [(0, len(lengths), max(lengths))]
    for start, stop, longest in ends:
        new = 1 if counts is None else counts[start]
        mask = None
        own = torch.tensor(lengths[start:stop])
        if new > 1 or int(own.min()) < longest:
            seen = own[:, None] - torch.arange(new - 1, -1, -1)  # (rows, new): keys that a new token sees
            hidden = torch.arange(longest) >= seen[..., None]
            mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None].to(device)
        found.append(Span(start, stop, longest, mask, new, first))
        first += new * (stop - start)
    return found
