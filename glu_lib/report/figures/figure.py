"""A figure: its Vega-Lite specification, what it says in words, and the table of numbers behind it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from glu_lib.errors import ReportError

_LONGEST_ID = 120  # characters: a file name may have 255 with its suffix

Cell = str | float | int | bool | None


class Section(StrEnum):
    """Where in the report a figure stands."""

    PRUNING = "pruning"
    PUBLISHED = "published"
    ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its title, one-sentence caption, text for those who cannot see it, and its numbers.

    `spec` is Vega-Lite without a theme; `columns` and `rows` are all that is drawn, as numbers.
    """

    id: str
    title: str
    caption: str
    alt: str
    section: Section
    spec: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        """Check that the table is complete.

        Raises:
            ReportError: if a row has more or fewer cells than there are columns.
        """
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ReportError(f"figure {self.id!r}: each row needs {len(self.columns)} cells; complete its table")


def figure_id(*parts: str | None) -> str:
    """A name that is safe in files, addresses and HTML: lower-case letters and digits, joined by hyphens."""
    words = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part]
    name = "-".join(word for word in words if word)
    if len(name) <= _LONGEST_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_ID - len(digest) - 1]}-{digest}"


def with_distinct_ids(figures: Iterable[Figure]) -> list[Figure]:
    """The same figures; where two ids are equal, the later ones get a number."""
    taken: set[str] = set()
    distinct = []
    for figure in figures:
        name, number = figure.id, 2
        while name in taken:
            name, number = f"{figure.id}-{number}", number + 1
        taken.add(name)
        distinct.append(replace(figure, id=name))
    return distinct


def figure_table(records: Sequence[dict[str, Any]], columns: dict[str, str]) -> dict[str, Any]:
    """`columns` and `rows` of a figure from the values it draws: `columns` maps a value's name to its heading."""
    return {
        "columns": tuple(columns.values()),
        "rows": tuple(tuple(record.get(name) for name in columns) for record in records),
    }
