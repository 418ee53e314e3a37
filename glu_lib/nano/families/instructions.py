"""Instruction following: operations on a list of words with a checkable result (generated answers)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from glu_lib.nano.document import Document
from glu_lib.nano.lexicon import COURTESIES, OBJECTS
from glu_lib.nano.world import World

ITEMS_PER_KIND = 50
ECHO_SHARE = 0.3  # share of the training texts that copy a longer list; all other instructions need this skill


@dataclass(frozen=True)
class Instruction:
    """A kind of instruction: its two wordings, the allowed numbers of words, and the function for the right answer."""

    kind: str
    wordings: tuple[str, str]
    word_counts: tuple[int, ...]
    obey: Callable[[Sequence[str]], Sequence[str]]


INSTRUCTIONS = (
    Instruction("repeat", ("say twice", "repeat two times"), (1, 2), lambda w: [*w, *w]),
    Instruction("reverse", ("reverse the words", "say backwards"), (2, 3, 4), lambda w: w[::-1]),
    Instruction("first", ("give the first word", "name the word at the start"), (3, 4, 5), lambda w: w[:1]),
    Instruction("second", ("give the second word", "name the word after the start"), (3, 4, 5), lambda w: w[1:2]),
    Instruction("last", ("give the last word", "name the word at the end"), (3, 4, 5), lambda w: w[-1:]),
    Instruction("drop", ("drop the first word", "leave out the word at the start"), (3, 4), lambda w: w[1:]),
    Instruction("count", ("count the words", "how many words are here"), (2, 3, 4, 5, 6), lambda w: [str(len(w))]),
    Instruction(
        "join",
        ("join the words with and", "put and between the words"),
        (2, 3),
        lambda w: " and ".join(w).split(),
    ),
    Instruction(
        "bracket",
        ("put the words in brackets", "set brackets around the words"),
        (2, 3),
        lambda w: ["(", *w, ")"],
    ),
    Instruction(
        "shout",
        ("shout the words", "put a cry after each word"),
        (2, 3),
        lambda w: " ! ".join([*w, ""]).split(),
    ),
)


def document(_world: World, rng: Random) -> Document:
    """A training text with an instruction in a trained wording, and its right answer."""
    if rng.random() < ECHO_SHARE:
        words = " ".join(rng.choices(OBJECTS, k=rng.randint(4, 10)))
        return Document(f"echo < {words} > answer :", words)
    number = rng.randrange(len(INSTRUCTIONS))
    wording = rng.choice([pair for pair in _wordings() if pair != _held_out_wording(number)])
    return Document(*_prompt_and_answer(INSTRUCTIONS[number], wording, rng))


def items(_world: World) -> list[dict[str, Any]]:
    """Each kind of instruction in its held-out wording, with distinct prompts."""
    rng = Random("instructions-items")
    chosen: dict[str, dict[str, Any]] = {}
    for number, instruction in enumerate(INSTRUCTIONS):
        target = len(chosen) + ITEMS_PER_KIND
        while len(chosen) < target:
            prompt, answer = _prompt_and_answer(instruction, _held_out_wording(number), rng, least=2)
            chosen[prompt] = {"kind": instruction.kind, "prompt": prompt, "answer": answer}
    pool = list(chosen.values())
    rng.shuffle(pool)  # so that a limited run gets a mix of all kinds
    return [{"id": f"instructions-{number:03d}", **item} for number, item in enumerate(pool)]


def _wordings() -> list[tuple[int, int]]:
    return [(courtesy, wording) for courtesy in range(len(COURTESIES)) for wording in range(2)]


def _held_out_wording(number: int) -> tuple[int, int]:
    """The (courtesy, wording) that the training texts never use for this instruction.

    It always has a courtesy word. A prompt without one would be the end of a trained prompt with one.
    """
    return 1 + number % (len(COURTESIES) - 1), (number // 3) % 2


def _prompt_and_answer(
    instruction: Instruction, wording: tuple[int, int], rng: Random, least: int = 1
) -> tuple[str, str]:
    count = rng.choice([count for count in instruction.word_counts if count >= least])
    words = rng.sample(OBJECTS, count)
    request = COURTESIES[wording[0]] + instruction.wordings[wording[1]]
    return f"{request} < {' '.join(words)} > answer :", " ".join(instruction.obey(words))
