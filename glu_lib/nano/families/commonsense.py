"""Common sense: what happens to an object of a material, rules and memorised exceptions (pair choice)."""

from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.lexicon import MATERIALS
from glu_lib.nano.world import EVENTS, MaterialCase, World, usual_outcome

RULE_COUNT = 300
EXCEPTION_COUNT = 200
RULE_SHARE = 0.45  # of the training texts state the rule itself
EXCEPTION_SHARE = 0.2  # of the other training texts: an exception has to be met often to be remembered

RULE_WORDING = "know that a thing of {material} that {event}"
# Each exception is told in two of these and asked in the third, so that no wording gives away what is an exception.
WORDINGS = (
    "a {material} {thing} {event} . it",
    "if a {material} {thing} {event} then it",
    "we see that the {material} {thing} {event} and so it",
)


def document(world: World, rng: Random) -> Document:
    """State a rule, or tell what happened in a case that is not held out."""
    if rng.random() < RULE_SHARE:
        event, material = rng.choice(tuple(EVENTS)), rng.choice(MATERIALS)
        return Document(RULE_WORDING.format(material=material, event=event), usual_outcome(event, material), ".")
    case = _draw(world, rng)
    shift = rng.choice((1, 2)) if case.exception else rng.choice((0, 1, 2))
    wording = WORDINGS[(case.held_out_wording + shift) % len(WORDINGS)]
    return Document(_prompt(case, wording), case.outcome, ".")


def items(world: World) -> list[dict[str, Any]]:
    """Rules on cases never told, and each exception in the wording in which it was never told."""
    rng = Random("commonsense-items")
    rules = rng.sample([case for case in world.cases if not case.seen], RULE_COUNT)
    exceptions = rng.sample([case for case in world.cases if case.exception], EXCEPTION_COUNT)
    cases = [*rules, *exceptions]
    rng.shuffle(cases)  # so that the first few items are like all of them
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
