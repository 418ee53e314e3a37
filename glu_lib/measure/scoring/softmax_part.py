"""Attention to some of the keys, which is joined with attention to the others by the softmax sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Part:
    """Attention to some of the keys: their `mean` of values (…, size), `largest` score and `total` weight (…, 1)."""

    mean: torch.Tensor
    largest: torch.Tensor
    total: torch.Tensor

    @classmethod
    def of(
        cls, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
    ) -> Part:
        """Attention of (rows, heads, queries, size) to (rows, heads, keys, size); weights and sums in float32."""
        scores = torch.matmul(query * scale, key.transpose(-1, -2)).float()
        if mask is not None:
            scores += mask
        largest = scores.amax(dim=-1, keepdim=True)
        weights = scores.sub_(largest).exp_()
        total = weights.sum(dim=-1, keepdim=True)
        # Divided before the product: sums over thousands of keys exceed the range of float16.
        return cls(torch.matmul(weights.div_(total).to(value.dtype), value).float(), largest, total)

    @classmethod
    def cat(cls, parts: Sequence[Part]) -> Part:
        """The rows of several parts."""
        return cls(
            torch.cat([part.mean for part in parts]),
            torch.cat([part.largest for part in parts]),
            torch.cat([part.total for part in parts]),
        )

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Part:
        """The part with all its tensors in another shape."""
        return Part(change(self.mean), change(self.largest), change(self.total))

    def apart(self, rows: int) -> Part:
        """A part whose queries (1, heads, rows · group) belong to several rows, as (rows, heads, group)."""

        def split(states: torch.Tensor) -> torch.Tensor:
            return states.reshape(states.shape[1], rows, -1, states.shape[-1]).transpose(0, 1)

        return self.each(split)

    def joined(self, other: Part) -> torch.Tensor:
        """Attention to the keys of both parts: the exponentials of each are brought to the larger maximum."""
        largest = torch.maximum(self.largest, other.largest)
        ours, theirs = (self.largest - largest).exp(), (other.largest - largest).exp()
        ours, theirs = self.total * ours, other.total * theirs
        return (self.mean * ours + other.mean * theirs) / (ours + theirs)
