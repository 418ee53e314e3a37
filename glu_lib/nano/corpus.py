"""The training stream: shuffled texts of all families, packed into rows; the same seed gives the same stream."""

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
    """The tokens of one training row, with the loss weight of each token as a prediction target."""

    words: list[str]
    weights: list[float]


def held_out_texts(world: World) -> frozenset[str]:
    """Prompts and texts of all task items; none of them may be the context of a training text."""
    items = (item for family in FAMILIES for item in family.items(world))
    return frozenset(item.get("prompt") or item["text"] for item in items)


def documents(world: World, seed: int) -> Iterator[Document]:
    """Yield an endless stream of training texts; each family gets its share of the tokens."""
    rng, held_out = Random(f"documents-{seed}"), held_out_texts(world)
    odds = list(accumulate(_document_odds(world)))
    while True:
        (family,) = rng.choices(FAMILIES, cum_weights=odds)
        document = family.document(world, rng)
        if document.context not in held_out:
            yield document


def training_rows(world: World, seed: int, length: int) -> Iterator[TrainingRow]:
    """Pack texts, separated by EOS, into rows of `length` tokens; the last text of a row is cut at its end.

    Half of the rows start with EOS and half without, because lm-eval puts EOS before running text but not before
    prompts.
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
    # After an answer that ends its text, EOS gets the answer's weight, because generation must stop there.
    ends_with_answer = bool(document.answer) and not document.tail
    words.append(EOS)
    weights.append(ANSWER_WEIGHT if ends_with_answer else CONTEXT_WEIGHT)


def _document_odds(world: World) -> list[float]:
    return [family.token_share / _mean_length(world, number) for number, family in enumerate(FAMILIES)]


def _mean_length(world: World, number: int) -> float:
    rng = Random(f"length-{FAMILIES[number].key}")
    return 1 + fmean(len(FAMILIES[number].document(world, rng).text.split()) for _ in range(LENGTH_DRAWS))
