"""Blind log-likelihoods: every token equally likely, token frequencies alone, always the same last word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from glu_lib.measure.controls.scored import Scored


def continuation_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """`frequent`, `flat` and `unigram` of each item's continuation.

    `frequent`: always the most frequent continuation, whose log-likelihood is that of its share of the items; where it
    is wrong, that of `flat`. `flat` and `unigram`: as of whole texts.
    """
    continuations = [sample["arguments"][0][1] for sample in scored.samples]
    ((frequent, count),) = Counter(continuations).most_common(1)
    share = math.log(count / len(scored.samples))
    texts = [scored.tokens(continuation) for continuation in continuations]
    for sample, continuation, (flat, unigram) in zip(
        scored.samples, continuations, _likelihoods(texts, scored.size), strict=True
    ):
        is_right = continuation == frequent
        answers = {"frequent": (share if is_right else flat, is_right), "flat": (flat, False)}
        answers["unigram"] = (unigram, False)
        yield {name: scored.value(sample["doc"], [answer]) for name, answer in answers.items()}


def text_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """`flat` and `unigram` of each text: each token 1 / size; each token by its frequency in the other texts."""
    texts = [scored.tokens(sample["arguments"][0][0]) for sample in scored.samples]
    for sample, found in zip(scored.samples, _likelihoods(texts, scored.size), strict=True):
        values = [scored.value(sample["doc"], [value]) for value in found]
        yield dict(zip(("flat", "unigram"), values, strict=True))


def _likelihoods(texts: Sequence[Sequence[int]], size: int) -> Iterator[tuple[float, float]]:
    """Log-likelihoods of each text under the flat and the unigram model, in nats.

    The unigram model leaves the scored text out and adds one to every count (Laplace), so that few texts do not know
    themselves.
    """
    whole = Counter(token for ids in texts for token in ids)
    total = sum(whole.values())
    for ids in texts:
        others = total - len(ids) + size
        counts = Counter(ids).items()
        unigram = sum(count * math.log((whole[token] - count + 1) / others) for token, count in counts)
        yield -len(ids) * math.log(size), unigram
