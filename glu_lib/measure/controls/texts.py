"""Blind log-likelihoods: every token equally likely, token frequencies alone, always the same last word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from glu_lib.measure.controls.scored import Scored


def continuation_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """`frequent`, `flat` and `unigram` of each item's continuation.

    `frequent`: the most frequent continuation of the other items, whose log-likelihood is that of its share; where it
    is wrong, that of `flat`. `flat` and `unigram`: as of whole texts.
    """
    continuations = [sample["arguments"][0][1] for sample in scored.samples]
    counts = Counter(continuations)
    others = max(1, len(continuations) - 1)
    likelihoods = _likelihoods([scored.tokens(continuation) for continuation in continuations], scored.size)
    for sample, continuation, (flat, unigram) in zip(scored.samples, continuations, likelihoods, strict=True):
        counts[continuation] -= 1
        frequent, count = max(counts.items(), key=lambda found: found[1])
        counts[continuation] += 1
        is_right = continuation == frequent and count > 0
        share = math.log(count / others) if is_right else flat
        answers = {"frequent": (share, is_right), "flat": (flat, False), "unigram": (unigram, False)}
        yield {name: scored.value(sample["doc"], [answer]) for name, answer in answers.items()}


def text_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """`flat` and `unigram` of each text: each token 1 / size; each token by its frequency in the other texts.

    The texts of a task with windows are its windows, each without the first token, which is not scored.
    """
    texts = [_scored_ids(scored, *sample["arguments"][0]) for sample in scored.samples]
    for sample, found in zip(scored.samples, _likelihoods(texts, scored.size), strict=True):
        values = [scored.value(sample["doc"], [value]) for value in found]
        yield dict(zip(("flat", "unigram"), values, strict=True))


def _scored_ids(scored: Scored, text: str, window: Sequence[int] = ()) -> Sequence[int]:
    """Token ids that are scored, of a text or of a window with its ids."""
    return window[1:] if window else scored.tokens(text)


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
