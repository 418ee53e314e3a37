"""A figure: Vega-Lite specification, title, caption, alternative text, and table of numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.level_series import LevelSeries
from glu_lib.errors import ReportError

_LONGEST_ID = 120  # characters: a file name may have 255 with its suffix

Cell = str | float | int | bool | None


class Section(StrEnum):
    """The section of the report that shows a figure."""

    PRUNING = "pruning"
    LAYERS = "layers"
    PUBLISHED = "published"
    ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its texts and its numbers.

    `alt` describes the figure to readers who cannot see it; `spec` is Vega-Lite without a theme; `columns` and `rows`
    are the table of all values drawn.
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
        """Check that each row has a cell for each column.

        Raises:
            ReportError: if a row has more or fewer cells than there are columns.
        """
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ReportError(f"figure {self.id!r}: each row needs {len(self.columns)} cells; complete its table")


def figure_id(*parts: str | None) -> str:
    """Join `parts` to an id that is safe in file names, URLs and HTML: lower-case letters, digits and hyphens."""
    words = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part]
    name = "-".join(word for word in words if word)
    if len(name) <= _LONGEST_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_ID - len(digest) - 1]}-{digest}"


def with_distinct_ids(figures: Iterable[Figure]) -> list[Figure]:
    """Return the same figures with distinct ids: each repeated id gets a number."""
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
    """Build the `columns` and `rows` of a figure from its values; `columns` maps the name of a value to its heading."""
    return {
        "columns": tuple(columns.values()),
        "rows": tuple(tuple(record.get(name) for name in columns) for record in records),
    }


def id_parts(found: HeadlineTable | LevelSeries) -> Sequence[str | None]:
    """Parts of a figure's id, for `figure_id`."""
    return (
        found.model,
        found.method,
        f"layers{found.layers}" if found.layers else None,
        f"d{found.divisor}" if found.divisor else None,
        f"limit{found.limit}" if found.limit else None,
        found.subset,
    )
