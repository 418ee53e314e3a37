"""The type of a task family, and the table of all seven with their shares of the training tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.families import commonsense, facts, instructions, lastword, narrative, sums, truth
from glu_lib.nano.world import World

Item = dict[str, Any]  # one line of a task's JSONL


@dataclass(frozen=True)
class Family:
    """A task family.

    Args:
        key: name of the task without `nano_`.
        token_share: its share of the training tokens; the shares add up to 1.
        document: draws a training text.
        items: returns the held-out items, which are always the same for the same world.
    """

    key: str
    token_share: float
    document: Callable[[World, Random], Document]
    items: Callable[[World], list[Item]]


FAMILIES = (
    Family("facts", 0.20, facts.document, facts.items),
    Family("sums", 0.09, sums.document, sums.items),
    Family("instructions", 0.19, instructions.document, instructions.items),
    Family("commonsense", 0.18, commonsense.document, commonsense.items),
    Family("truth", 0.16, truth.document, truth.items),
    Family("lastword", 0.10, lastword.document, lastword.items),
    Family("narrative", 0.08, narrative.document, narrative.items),
)
