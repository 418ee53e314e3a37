"""Drafts of the next tokens, guessed from the text itself; the model checks all of them in one forward pass.

Small and pruned models repeat themselves. Where the newest tokens occurred before in a prompt or its answer, the tokens
that followed them then are drafted. Greedy decoding keeps a draft as far as it is what the model chooses, so answers do
not change: prompt lookup (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding), as in LLMA (arXiv:2304.04487).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

MOST_DRAFTED = 16  # tokens of a draft
# Settings that were tried on a few hundred answers of one model, no optimum: `benchmarks/drafts.py` times them.
_NGRAM = 4  # newest tokens that must have occurred before
_FIRST_DRAFT = 2
_LONGEST_REST = 32  # steps without a draft after drafts that began wrong


def most_drafted(device: torch.device) -> int:
    """Most tokens of a draft on a device. None on a GPU: rows with drafts would need kernels of their own there."""
    return MOST_DRAFTED if device.type == "cpu" else 0


def agreed(chosen: Sequence[int], drafts: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each row as much of its draft as the model chose too, and the token that it chose after that.

    Args:
        chosen: the model's choices after each row's newest token and after each token of its draft, row by row.
        drafts: of each row.
    """
    found, first = [], 0
    for draft in drafts:
        mine = chosen[first : first + len(draft) + 1]
        kept = next((at for at, token in enumerate(draft) if token != mine[at]), len(draft))
        found.append(list(mine[: kept + 1]))
        first += len(draft) + 1
    return found


class Lookup:
    """The text of a prompt and its answer so far, with the places where its n-grams end."""

    def __init__(self, text: Iterable[int]) -> None:
        """`text` is the prompt with what was made so far."""
        self._text: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._source: int | None = None  # the place behind the last earlier occurrence of the newest tokens
        self._wanted = _FIRST_DRAFT
        self._rest, self._next_rest = 0, 1  # steps without a draft, now and after the next one that begins wrong
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
        if self._source is None or self._rest:
            return []
        period = self._text[self._source :]  # what followed is repeated if it is shorter than the draft
        return [period[place % len(period)] for place in range(min(self._wanted, most))]

    def learn(self, drafted: int, kept: int) -> None:
        """Take note of a step: how many tokens were drafted, and how many of them the model chose too.

        Drafts grow while they are kept whole. Otherwise the next one is as long as what was kept; after one that began
        wrong there is none for some steps, for twice as many each time until a draft is kept whole.
        """
        if not drafted:
            self._rest = max(0, self._rest - 1)
        elif kept == drafted:
            self._wanted, self._next_rest = max(self._wanted, min(MOST_DRAFTED, 2 * drafted)), 1
        elif kept:
            self._wanted = kept
        else:
            self._wanted, self._rest = 1, self._next_rest
            self._next_rest = min(_LONGEST_REST, 2 * self._next_rest)
