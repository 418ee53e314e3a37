"""Common sense: what happens to an object of some material, by rules with memorised exceptions (two options)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.lexicon import MATERIALS
from glu_lib.nano.world import EVENTS, MaterialCase, World, usual_outcome

RULE_COUNT = 300
EXCEPTION_COUNT = 200
RULE_SHARE = 0.45  # share of the training texts that state a rule
EXCEPTION_SHARE = 0.2  # share of exceptions in the other training texts; they must occur often to be memorised

RULE_WORDING = "know that a thing of {material} that {event}"
# The training texts tell each exception in two of these wordings, and the task uses the third. Which one is held out
# differs between exceptions, so that a wording does not reveal an exception.
WORDINGS = (
    "a {material} {thing} {event} . it",
    "if a {material} {thing} {event} then it",
    "we see that the {material} {thing} {event} and so it",
)


def document(world: World, rng: Random) -> Document:
    """A training text that states a rule, or tells what happened in a case that is not held out."""
    if rng.random() < RULE_SHARE:
        event, material = rng.choice(tuple(EVENTS)), rng.choice(MATERIALS)
        return Document(RULE_WORDING.format(material=material, event=event), usual_outcome(event, material), ".")
    case = _draw(world, rng)
    shift = rng.choice((1, 2)) if case.exception else rng.choice((0, 1, 2))
    wording = WORDINGS[(case.held_out_wording + shift) % len(WORDINGS)]
    return Document(_prompt(case, wording), case.outcome, ".")


def items(world: World) -> list[dict[str, Any]]:
    """Rules applied to unseen cases, and exceptions in their held-out wording."""
    rng = Random("commonsense-items")
    rules = rng.sample([case for case in world.cases if not case.seen], RULE_COUNT)
    exceptions = rng.sample([case for case in world.cases if case.exception], EXCEPTION_COUNT)
    cases = [*rules, *exceptions]
    rng.shuffle(cases)  # so that a limited run gets a mix of both kinds
    return [_item(number, case, rng) for number, case in enumerate(cases)]


def _draw(world: World, rng: Random) -> MaterialCase:
    exception = rng.random() < EXCEPTION_SHARE
    while True:
        case = rng.choice(world.cases)
        if case.seen and case.exception == exception:
            return case


def _item(number: int, case: MaterialCase, rng: Random) -> dict[str, Any]:
    wording = WORDINGS[case.held_out_wording] if case.exception else rng.choice(WORDINGS)
    choices = rng.sample([case.outcome, case.other], 2)
    return {
        "id": f"commonsense-{number:03d}",
        "kind": "exception" if case.exception else "rule",
        "prompt": _prompt(case, wording),
        "choices": choices,
        "gold": choices.index(case.outcome),
    }


def _prompt(case: MaterialCase, wording: str) -> str:
    return wording.format(material=case.material, thing=case.thing, event=case.event)
