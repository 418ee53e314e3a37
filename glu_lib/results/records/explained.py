"""What is wrong with a record, in one line: the place, the value found there, the rule, the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from glu_lib.errors import one_line

REMEDY = "run the case again"
_FORMULA = ("=", "+", "-", "@")
_LONGEST_NAME, _LONGEST_VALUE = 60, 60  # characters
# What a value is not, by the beginning of the name that pydantic gives the error.
_KINDS = {
    "string": "a text of one line",
    "int": "a count",
    "float": "a finite number",
    "finite": "a finite number",
    "bool": "true or false",
    "model": "a table",
    "dict": "a table",
    "list": "a list",
}


def one_line_of(error: ValidationError) -> str:
    """The first error of a record, with the number of further ones; never pydantic's own report of many lines."""
    first, *others = error.errors(include_url=False, include_context=True)
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "value_error":
        return one_line(f"{first['ctx']['error']}{more}")
    return f"{_said(first)}{more}; {REMEDY}"


def shown(value: Any) -> str:
    """A value of any type and size as a short printable text."""
    try:
        text = one_line(repr(value))
    except (ValueError, RecursionError):  # an integer with thousands of digits, or too deep nesting
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _said(error: Any) -> str:
    kind, value, place = error["type"], error["input"], _place(error["loc"])
    if kind == "missing":
        return f"{place} is missing"
    if kind == "too_short":
        return f"{place} is empty"
    if kind in ("greater_than_equal", "less_than_equal"):
        side, bound = ("least", "ge") if kind == "greater_than_equal" else ("most", "le")
        return f"{place} is {shown(value)}; it must be at {side} {error['ctx'][bound]}"
    if kind in ("literal_error", "enum"):
        return f"{place} is {shown(value)}, not {error['ctx']['expected']}"
    if kind == "number":
        return f"{place} is {shown(value)}, not {error['msg']}"
    if kind == "string_pattern_mismatch" and isinstance(value, str) and value.startswith(_FORMULA):
        return f"{place} is {shown(value)}, which spreadsheets read as a formula"
    what = _KINDS.get(kind.partition("_")[0])
    return f"{place} is {shown(value)}, not {what}" if what else f"{place} is {shown(value)}: {one_line(error['msg'])}"


def _place(location: Sequence[str | int]) -> str:
    """The path of a value: `repeats[0].energy.total_j`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{one_line(part)[:_LONGEST_NAME]}"
    return path.removeprefix(".") or "the record"
