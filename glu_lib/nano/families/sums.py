"""Arithmetic: sums of two numbers with two digits, written digit by digit (generated answers)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.lexicon import COURTESIES
from glu_lib.nano.world import World

WORDINGS = (
    "what is {a} + {b} ? answer :",
    "add {a} and {b} . answer :",
    "find the sum of {a} and {b} . answer :",
)
WORDING_GRID = tuple((c, w) for c in range(len(COURTESIES)) for w in range(len(WORDINGS)))
# Combinations of courtesy and wording that only the task uses. Both parts occur in other combinations in training.
HELD_OUT_WORDINGS = ((1, 2), (2, 1), (3, 0))
TRAINED_WORDINGS = tuple(pair for pair in WORDING_GRID if pair not in HELD_OUT_WORDINGS)


def spell(number: int) -> str:
    """Write a number digit by digit: 85 -> '8 5'."""
    return " ".join(str(number))


def document(world: World, rng: Random) -> Document:
    """A training text with a sum and a wording that are not held out."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    while (min(a, b), max(a, b)) in world.held_out_sums:
        a, b = rng.randint(10, 99), rng.randint(10, 99)
    return Document(_prompt(a, b, rng.choice(TRAINED_WORDINGS)), spell(a + b))


def items(world: World) -> list[dict[str, Any]]:
    """The held-out sums in held-out wordings."""
    rng = Random("sums-items")
    pairs = sorted(world.held_out_sums)
    rng.shuffle(pairs)  # so that a limited run gets small and large numbers
    return [_item(number, pair, rng) for number, pair in enumerate(pairs)]


def _item(number: int, pair: tuple[int, int], rng: Random) -> dict[str, Any]:
    a, b = rng.sample(pair, 2)
    return {
        "id": f"sums-{number:03d}",
        "kind": "carry" if a % 10 + b % 10 > 9 else "no carry",
        "prompt": _prompt(a, b, rng.choice(HELD_OUT_WORDINGS)),
        "answer": spell(a + b),
    }


def _prompt(a: int, b: int, wording: tuple[int, int]) -> str:
    courtesy, form = COURTESIES[wording[0]], WORDINGS[wording[1]]
    return courtesy + form.format(a=spell(a), b=spell(b))
