"""Tables, listings and problems on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from glu_lib.errors import one_line
from glu_lib.report import number
from glu_lib.report.listings import Listing

EXIT_PROBLEMS = 1  # a record was left out, or a check failed
_WIDE = 250  # columns


class _Console(Console):
    """rich's console, but `main` handles a broken pipe: rich itself would exit."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns; line breaks in cells are escaped."""
    drawn = Table(box=None)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*map(one_line, row))
    # Files and pipes get whole cells, whatever the width of the terminal.
    _Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False).print(drawn)


def print_listing(listing: Listing) -> None:
    """Print a listing with its caption."""
    print(f"{listing.caption}:")
    print_table(listing.columns, [[number.plain(cell) for cell in row] for row in listing.rows])


def print_problems(problems: Sequence[str]) -> int:
    """Print the problems to standard error; returns the exit code."""
    for problem in problems:
        print(f"left out: {one_line(problem)}", file=sys.stderr)
    return EXIT_PROBLEMS if problems else 0
