"""The training stream: texts of all families, mixed and packed into rows, the same for a seed everywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from statistics import fmean

from glu_lib.nano.document import Document
from glu_lib.nano.families import FAMILIES
from glu_lib.nano.tokenizer import EOS
from glu_lib.nano.world import World

CONTEXT_WEIGHT = 0.2
ANSWER_WEIGHT = 1.0
LENGTH_DRAWS = 500


@dataclass(frozen=True)
class TrainingRow:
    """Tokens of one training row and the loss weight of each as a prediction target."""

    words: list[str]
    weights: list[float]


def held_out_texts(world: World) -> frozenset[str]:
    """Prompts and texts of all task items; no training text may begin with one of them as its context."""
    items = (item for family in FAMILIES for item in family.items(world))
    return frozenset(item.get("prompt") or item["text"] for item in items)


def documents(world: World, seed: int) -> Iterator[Document]:
    """Yield training texts without end, families in proportion to their token share."""
    rng, held_out = Random(f"documents-{seed}"), held_out_texts(world)
    odds = list(accumulate(_document_odds(world)))
    while True:
        (family,) = rng.choices(FAMILIES, cum_weights=odds)
        document = family.document(world, rng)
        if document.context not in held_out:
            yield document


def training_rows(world: World, seed: int, length: int) -> Iterator[TrainingRow]:
    """Pack texts into rows of `length` tokens, EOS before each, the last one cut at the row's end.

    Half of the rows start without EOS: lm-eval shows prompts without it and running text with it.
    """
    stream, rng = documents(world, seed), Random(f"rows-{seed}")
    while True:
        words, weights = ([EOS], [0.0]) if rng.random() < 0.5 else ([], [])
        while len(words) < length:
            _append(next(stream), words, weights)
        yield TrainingRow(words[:length], weights[:length])


def _append(document: Document, words: list[str], weights: list[float]) -> None:
    for text, weight in (
        (document.context, CONTEXT_WEIGHT),
        (document.answer, ANSWER_WEIGHT),
        (document.tail, CONTEXT_WEIGHT),
    ):
        new = text.split()
        words += new
        weights += [weight] * len(new)
    # An answer that ends its text has to end: generation stops there.
    ends_with_answer = bool(document.answer) and not document.tail
    words.append(EOS)
    weights.append(ANSWER_WEIGHT if ends_with_answer else CONTEXT_WEIGHT)


def _document_odds(world: World) -> list[float]:
    return [family.token_share / _mean_length(world, number) for number, family in enumerate(FAMILIES)]


def _mean_length(world: World, number: int) -> float:
    rng = Random(f"length-{FAMILIES[number].key}")
    return 1 + fmean(len(FAMILIES[number].document(world, rng).text.split()) for _ in range(LENGTH_DRAWS))
