"""Drafts of the next tokens, guessed from the text itself; the model checks all of them in one forward pass.

Small and pruned models repeat themselves. Where the newest tokens occurred before in a prompt or its answer, the tokens
that followed them then are drafted. Greedy decoding keeps a draft as far as it is what the model chooses, so answers do
not change: prompt lookup (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding), as in LLMA (arXiv:2304.04487).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

MOST_DRAFTED = 16  # tokens of a draft
_NGRAM = 3  # newest tokens that must have occurred before
_FIRST_DRAFT = 2


def most_drafted(device: torch.device) -> int:
    """Most tokens of a draft on a device. None on a GPU: rows with drafts would need kernels of their own there."""
    return MOST_DRAFTED if device.type == "cpu" else 0


class Lookup:
    """The text of a prompt and its answer so far, with the places where its n-grams end."""

    def __init__(self, text: Iterable[int]) -> None:
        """`text` is the prompt with what was made so far."""
        self._text: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._source: int | None = None  # the place behind the last earlier occurrence of the newest tokens
        self._wanted = _FIRST_DRAFT
        self.add(text)

    def add(self, tokens: Iterable[int]) -> None:
        """Append new tokens of the answer."""
        for token in tokens:
            self._text.append(token)
            ngram = tuple(self._text[-_NGRAM:])
            self._source = self._ends.get(ngram)
            self._ends[ngram] = len(self._text)

    def draft(self, most: int) -> list[int]:
        """The next tokens as they followed the newest ones before, at most `most`; often none."""
        if self._source is None:
            return []
        period = self._text[self._source :]  # what followed is repeated if it is shorter than the draft
        return [period[place % len(period)] for place in range(min(self._wanted, most))]

    def learn(self, drafted: int, kept: int) -> None:
        """Let the drafts grow while they are kept whole; otherwise the next one is as long as what was kept."""
        if drafted:
            self._wanted = min(MOST_DRAFTED, 2 * drafted) if kept == drafted else max(1, kept)
