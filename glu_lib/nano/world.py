"""The invented world of people, facts, topics and cases, generated from one seed."""

from dataclasses import dataclass
from functools import cache
from random import Random

from glu_lib.nano.lexicon import (
    ASPECTS,
    FIRST_NAMES,
    INSTRUMENTS,
    LAST_NAMES,
    MATERIALS,
    OBJECTS,
    THINGS,
    TOWNS,
    TRADES,
)

WORLD_SEED = 20240131
UNASKED_SHARE = 0.4  # share of the facts that the training texts state but never ask for
EXCEPTION_COUNT = 240
UNSEEN_SHARE = 0.3  # share of the rules' cases that do not occur in the training texts

RELATIONS: dict[str, tuple[str, ...]] = {"home": TOWNS, "trade": TRADES, "instrument": INSTRUMENTS}


def _materials(text: str) -> frozenset[str]:
    return frozenset(text.split())


# event -> (outcome of the listed materials, outcome of all others, the listed materials)
EVENTS: dict[str, tuple[str, str, frozenset[str]]] = {
    "falls on stone": ("breaks", "holds", _materials("glass clay ice wax chalk")),
    "lies in water": ("floats", "sinks", _materials("ice wax wood cork straw paper")),
    "is near the fire": ("burns", "glows", _materials("wood cork straw paper wool leather wax")),
    "stands in the sun": ("melts", "warms", _materials("ice wax")),
    "is left in the rain": ("softens", "shines", _materials("clay chalk straw paper wool leather")),
    "is hit with a hammer": ("cracks", "dents", _materials("glass clay ice chalk granite wood")),
    "is pulled hard": ("tears", "stays", _materials("paper wool straw leather")),
    "is rubbed with sand": ("crumbles", "gleams", _materials("chalk clay cork wax straw paper")),
}


@dataclass(frozen=True)
class Person:
    """An invented person; `known` maps a relation to its value."""

    first: str
    last: str
    known: dict[str, str]

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"


@dataclass(frozen=True)
class Fact:
    """One relation of one person; `asked` says whether training texts ask for it."""

    person: Person
    relation: str
    value: str
    asked: bool


@dataclass(frozen=True)
class Topic:
    """A property of a thing: its true value, a common misconception, and the index of the held-out wording."""

    thing: str
    aspect: str
    truth: str
    misconception: str
    held_out_wording: int


@dataclass(frozen=True)
class MaterialCase:
    """An object of some material in an event; `seen` says whether the case occurs in training texts."""

    event: str
    material: str
    thing: str
    outcome: str
    other: str
    exception: bool
    seen: bool
    held_out_wording: int  # only used for exceptions


@dataclass(frozen=True)
class World:
    """All facts of the invented world."""

    people: tuple[Person, ...]
    facts: tuple[Fact, ...]
    topics: tuple[Topic, ...]
    cases: tuple[MaterialCase, ...]
    held_out_sums: frozenset[tuple[int, int]]  # (smaller, larger)


def usual_outcome(event: str, material: str) -> str:
    """The outcome of an event for an object of a material, according to the rule."""
    listed, unlisted, materials = EVENTS[event]
    return listed if material in materials else unlisted


def _people(rng: Random) -> tuple[Person, ...]:
    return tuple(
        Person(first, last, {relation: rng.choice(values) for relation, values in RELATIONS.items()})
        for first in FIRST_NAMES
        for last in LAST_NAMES
    )


def _facts(people: tuple[Person, ...], rng: Random) -> tuple[Fact, ...]:
    return tuple(
        Fact(person, relation, value, rng.random() >= UNASKED_SHARE)
        for person in people
        for relation, value in person.known.items()
    )


def _topics(rng: Random) -> tuple[Topic, ...]:
    topics: list[Topic] = []
    for thing in THINGS:
        for aspect, values in ASPECTS.items():
            truth, misconception = rng.sample(values, 2)
            topics.append(Topic(thing, aspect, truth, misconception, len(topics) % 3))
    return tuple(topics)


def _cases(rng: Random) -> tuple[MaterialCase, ...]:
    grid = [(e, m, o) for e in EVENTS for m in MATERIALS for o in OBJECTS]
    exceptions = set(rng.sample(grid, EXCEPTION_COUNT))
    return tuple(_case(*key, key in exceptions, rng.random() >= UNSEEN_SHARE, rng.randrange(3)) for key in grid)


def _case(event: str, material: str, thing: str, exception: bool, drawn: bool, wording: int) -> MaterialCase:
    listed, unlisted, _ = EVENTS[event]
    usual = usual_outcome(event, material)
    unusual = unlisted if usual == listed else listed
    outcome, other = (unusual, usual) if exception else (usual, unusual)
    # An exception cannot be inferred, so it always occurs in the training texts.
    return MaterialCase(event, material, thing, outcome, other, exception, drawn or exception, wording)


def _held_out_sums(rng: Random) -> frozenset[tuple[int, int]]:
    pairs = [(a, b) for a in range(10, 100) for b in range(a, 100)]
    return frozenset(rng.sample(pairs, 500))


@cache
def build_world(seed: int = WORLD_SEED) -> World:
    """Return the world of a seed, which is the same on every machine."""
    people = _people(Random(f"people-{seed}"))
    return World(
        people=people,
        facts=_facts(people, Random(f"facts-{seed}")),
        topics=_topics(Random(f"topics-{seed}")),
        cases=_cases(Random(f"cases-{seed}")),
        held_out_sums=_held_out_sums(Random(f"sums-{seed}")),
    )
