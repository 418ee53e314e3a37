"""Last word of a passage, to be predicted from the passage or from knowledge (accuracy, perplexity)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.families.scene import Scene, draw_scene
from glu_lib.nano.world import World

ITEMS_PER_KIND = 125

OPENINGS = (
    "one {season} {daytime} {name} packed a {thing} and walked to the {place} .",
    "it was {daytime} in {season} . {name} took a {thing} and went to the {place} .",
    "{name} carried a {thing} to the {place} on one {season} {daytime} .",
)
MIDDLES = (
    "the road was {road} and there was much {sky} .",
    "there was {sky} and the road was {road} .",
    "at the {place} {first} met a {animal} that looked {mood} .",
    "near the {place} stood a {animal} that looked {mood} .",
)
# kind -> (closings without their last word, the last word)
CLOSINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "thing": (
        (
            "later {first} sat down and looked at the",
            "then {first} rested and held the",
            "in the end {first} lost the",
        ),
        "{thing}",
    ),
    "animal": (
        (
            "later {first} sat down and fed the",
            "then {first} rested and thought of the",
            "in the end {first} kept the",
        ),
        "{animal}",
    ),
    "home": (
        (
            "later {first} stood up and went back to",
            "then {first} longed for home and for",
            "in the end {first} slept in",
        ),
        "{home}",
    ),
    "instrument": (
        (
            "later {first} sat down and played the",
            "then {first} rested and tuned the",
            "in the end {first} bought a new",
        ),
        "{instrument}",
    ),
}


def document(world: World, rng: Random) -> Document:
    """A training passage with a combination of opening and closing that is not held out."""
    opening, closing = rng.randrange(3), rng.randrange(3)
    while _held_out(opening, closing):
        opening, closing = rng.randrange(3), rng.randrange(3)
    kind = rng.choice(tuple(CLOSINGS))
    return Document(*_passage(draw_scene(world, rng), kind, opening, closing, rng), ".")


def items(world: World) -> list[dict[str, Any]]:
    """Passages with combinations of opening and closing that do not occur in the training texts."""
    rng = Random("lastword-items")
    kinds = [kind for _ in range(ITEMS_PER_KIND) for kind in CLOSINGS]
    return [_item(number, kind, world, rng) for number, kind in enumerate(kinds)]


def _held_out(opening: int, closing: int) -> bool:
    return opening == closing


def _item(number: int, kind: str, world: World, rng: Random) -> dict[str, Any]:
    same = rng.randrange(3)
    prompt, answer = _passage(draw_scene(world, rng), kind, same, same, rng)
    return {"id": f"lastword-{number:03d}", "kind": kind, "prompt": prompt, "answer": answer}


def _passage(scene: Scene, kind: str, opening: int, closing: int, rng: Random) -> tuple[str, str]:
    forms, answer = CLOSINGS[kind]
    middles = [rng.choice(MIDDLES[:2]), rng.choice(MIDDLES[2:])]
    rng.shuffle(middles)
    sentences = [OPENINGS[opening], *middles, forms[closing]]
    return " ".join(scene.fill(sentence) for sentence in sentences), scene.fill(answer)
