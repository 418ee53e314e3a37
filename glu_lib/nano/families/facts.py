"""Knowledge: home, trade and instrument of invented people (four options)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.world import RELATIONS, Fact, World

ITEM_COUNT = 500

STATEMENTS: dict[str, tuple[str, ...]] = {
    "home": ("{name} lives in", "the home of {name} is"),
    "trade": ("{name} works as a", "the trade of {name} is"),
    "instrument": ("{name} plays the", "the instrument of {name} is the"),
}
QUESTIONS: dict[str, str] = {
    "home": "question : where does {name} live ? answer :",
    "trade": "question : what is the work of {name} ? answer :",
    "instrument": "question : what does {name} play ? answer :",
}


def document(world: World, rng: Random) -> Document:
    """A training text that states a fact, or asks for it if its question is not held out."""
    fact = rng.choice(world.facts)
    if fact.asked and rng.random() < 0.4:
        return Document(QUESTIONS[fact.relation].format(name=fact.person.name), fact.value)
    form = rng.choice(STATEMENTS[fact.relation])
    return Document(form.format(name=fact.person.name), fact.value, ".")


def items(world: World) -> list[dict[str, Any]]:
    """Questions for facts that the training texts only state."""
    rng = Random("facts-items")
    unasked = [fact for fact in world.facts if not fact.asked]
    return [_item(number, fact, rng) for number, fact in enumerate(rng.sample(unasked, ITEM_COUNT))]


def _item(number: int, fact: Fact, rng: Random) -> dict[str, Any]:
    others = rng.sample([value for value in RELATIONS[fact.relation] if value != fact.value], 3)
    choices = [fact.value, *others]
    rng.shuffle(choices)
    return {
        "id": f"facts-{number:03d}",
        "kind": fact.relation,
        "prompt": QUESTIONS[fact.relation].format(name=fact.person.name),
        "choices": choices,
        "gold": choices.index(fact.value),
    }
