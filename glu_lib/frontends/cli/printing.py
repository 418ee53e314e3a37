"""Tables, listings and problems on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from glu_lib.errors import one_line
from glu_lib.report import number
from glu_lib.report.listings import Listing

EXIT_PROBLEMS = 1  # something was left out, unreadable or not ready


_WIDE = 250  # columns


class _Console(Console):
    """rich's console, which leaves it to `main` what happens when the reader has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns; cells are of one line each."""
    drawn = Table(box=None)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*map(one_line, row))
    # A file or another program gets whole cells, whatever the width of the terminal it was started from.
    _Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False).print(drawn)


def print_listing(listing: Listing) -> None:
    """Print a listing with its caption."""
    print(f"{listing.caption}:")
    print_table(listing.columns, [[number.plain(cell) for cell in row] for row in listing.rows])


def print_problems(problems: Sequence[str]) -> int:
    """Name on standard error what was left out; returns the exit code."""
    for problem in problems:
        print(f"left out: {one_line(problem)}", file=sys.stderr)
    return EXIT_PROBLEMS if problems else 0
