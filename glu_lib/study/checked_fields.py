"""Checks of a study file's values: type, range and form; an error is one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from glu_lib.errors import StudyError
from glu_lib.study.asked import Asked, Level
from glu_lib.study.keys import unknown
from glu_lib.study.layers import Layers
from glu_lib.study.settings import DIVISORS
from glu_lib.study.study_fields import Field

Choice = TypeVar("Choice", bound=StrEnum)
_TEXT_LISTS = frozenset({"suites", "tasks", "workloads", "models", "methods"})
_WORDS: dict[type | tuple[type, ...], str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    list: "list",
    dict: "table",
    (int, str): "whole number or text",
}


def check_values(place: str, value: Any) -> None:
    """Check that texts and keys are printable on one line, and that numbers are finite and fit in TOML's 64 bits."""
    if isinstance(value, dict):
        for key, entry in value.items():
            check_values(place, key)
            check_values(f"{place}.{key}", entry)
    elif isinstance(value, list):
        for entry in value:
            check_values(place, entry)
    elif isinstance(value, str) and not value.isprintable():
        raise StudyError(f"{place}: text {value!r} contains a line break or an invisible character; remove it")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise StudyError(f"{place}: a number of {value.bit_length()} bits is too large; TOML allows 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise StudyError(f"{place}: {value} is not a finite number; give a finite one")


def check_fields(place: str, table: Any, fields: Mapping[str, Field]) -> None:
    """Check that a table has only known fields with values of the right type.

    Integers are accepted for floats; booleans are not accepted for numbers.
    """
    if not isinstance(table, dict):
        raise StudyError(f"{place} is {table!r}; it must be a table")
    for name, value in table.items():
        if name not in fields:
            raise StudyError(f"{place}: {unknown('field', name, fields)}".replace("is not in the study", "is unknown"))
        expected = fields[name].type
        fits = isinstance(value, (int, float) if expected is float else expected)
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise StudyError(f"{place}: {name} is {value!r}; it must be a {_WORDS[expected]}")
        if name in _TEXT_LISTS:
            check_texts(place, name, value)


def check_texts(place: str, name: str, values: Any) -> None:
    """Check that a list of keys holds only text. Tables with the same name are checked entry by entry elsewhere."""
    for value in values if isinstance(values, list) else ():
        if not isinstance(value, str):
            raise StudyError(f"{place}: {name} holds {value!r}; it must hold keys, as text")


def whole_numbers(place: str, name: str, values: list[Any]) -> list[int]:
    """Return `values` if all of them are whole numbers.

    Raises:
        StudyError: naming the first value that is not a whole number.
    """
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool):
            raise StudyError(f"{place}: {name} holds {value!r}; it must hold whole numbers")
    return values


def levels_of(place: str, values: list[Any]) -> tuple[Level, ...]:
    """The levels that a table lists: whole numbers are percentages, texts are what is wanted.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    for value in values:
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise StudyError(
                f'{place}: levels holds {value!r}; it must hold whole numbers (per cent) or texts such as "2.4x"'
            )
    try:
        return tuple(Asked.parse(value) if isinstance(value, str) else value for value in values)
    except StudyError as error:
        raise StudyError(f"{place}: {error}") from error


def choice(place: str, name: str, text: str, choices: type[Choice]) -> Choice:
    """The member of `choices` that `text` names.

    Raises:
        StudyError: listing the choices.
    """
    try:
        return choices(text)
    except ValueError:
        raise StudyError(f"{place}: {name} {text!r} is unknown; choose one of {', '.join(choices)}") from None


def layer_sets_of(place: str, table: Mapping[str, Any]) -> tuple[Layers | None, ...]:
    """The layer sets that a table lists; empty if it lists none.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    found = table.get("layers", [])
    check_texts(place, "layers", found)
    try:
        return tuple(map(Layers.parse, found))
    except StudyError as error:
        raise StudyError(f"{place}: {error}") from error


def divisors_of(place: str, table: Mapping[str, Any]) -> tuple[int, ...]:
    """The divisors that a table lists; empty if it lists none.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    divisors = tuple(whole_numbers(place, "divisors", table.get("divisors", [])))
    for divisor in divisors:
        if divisor not in DIVISORS:
            raise StudyError(f"{place}: divisors hold {divisor}; choose from {', '.join(map(str, DIVISORS))}")
    return divisors
