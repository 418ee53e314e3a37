"""Narrative: short stories of random choices with fixed consequences (word perplexity)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.families.scene import draw_scene
from glu_lib.nano.world import World

ITEM_COUNT = 200

PLOT: tuple[tuple[str, ...], ...] = (
    (
        "one {season} {daytime} the {trade} {name} left {home} with a {thing} .",
        "on one {season} {daytime} {name} of {home} , a {trade} , packed a {thing} .",
        "it was {daytime} in {season} . in {home} {name} the {trade} found a {thing} .",
    ),
    (
        "because it was {season} there was much {sky} and the road was {road} .",
        "the road was {road} after the {sky} of the {season} .",
        "outside there was {sky} , for it was {season} , and the road was {road} .",
    ),
    (
        "before {meal} {first} came to the {place} where the {fruit} are .",
        "{first} walked for an hour to the {place} to look for {fruit} .",
        "soon {first} saw the {place} and all its {fruit} .",
    ),
    (
        "there {first} {deed} for a while and rested .",
        "at the {place} {first} {deed} until it was time for {meal} .",
        "{first} {deed} there and was happy .",
    ),
    (
        "then a {animal} came by . it looked {mood} , as every {animal} does .",
        "near the {place} stood a {animal} that looked {mood} .",
        "a {mood} {animal} followed {first} along the road .",
    ),
    (
        "{first} gave the {animal} some {feed} and showed it the {thing} .",
        "the {animal} wanted {feed} but got only the {thing} .",
        "{first} had no {feed} for the {animal} and hid the {thing} .",
    ),
    (
        "when {meal} was over {first} played the {instrument} .",
        "after {meal} {first} took the {instrument} and the {animal} listened .",
        "the {animal} slept while {first} tuned the {instrument} .",
    ),
    (
        "in the end {name} went back to {home} with the {thing} and some {fruit} .",
        "so {name} came home to {home} and told the tale of the {animal} .",
        "at last {first} put down the {thing} and slept in {home} .",
    ),
)


def document(world: World, rng: Random) -> Document:
    """A training text with one story; it has no answer."""
    scene = draw_scene(world, rng)
    return Document(" ".join(scene.fill(rng.choice(sentences)) for sentences in PLOT))


def items(world: World) -> list[dict[str, Any]]:
    """Stories that are held out of the training texts."""
    rng = Random("narrative-items")
    stories = [document(world, rng).text for _ in range(ITEM_COUNT)]
    return [{"id": f"narrative-{number:03d}", "text": story} for number, story in enumerate(stories)]
