"""Progress bars of all libraries: drawn on a terminal, elsewhere one plain line every 30 seconds at most."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

LINE_S = 30.0  # minimum time between two lines in a log; tqdm redraws its bar ten times a second
_UP = "\x1b[A"  # cursor up: tqdm returns from a nested bar
_MOVES = re.compile("(\r|\n|\x1b\\[A)")


class PlainBars(io.TextIOBase):
    """A stream for standard error that turns progress bars into occasional lines.

    tqdm writes a carriage return before each state of a bar, and a line break at its end. At most one state per LINE_S
    seconds is kept. Ordinary text passes, except empty lines.

    Args:
        bars: receives the lines of bars; None drops them.
        text: receives ordinary text.
        clock: returns monotonic time in seconds.
    """

    def __init__(self, bars: TextIO | None, text: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars, self._text, self._clock = bars, text, clock
        self._is_bar, self._is_empty = False, True
        self._last_s = clock()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """ASCII, so that tqdm draws its bar with `#` instead of block characters."""
        return "ascii"

    def writable(self) -> bool:
        """Return True: the stream accepts text."""
        return True

    def write(self, text: str) -> int:
        """Pass on ordinary text, and the state of a bar if the last line is LINE_S seconds old."""
        for part in filter(None, _MOVES.split(text.replace("\r\n", "\n"))):
            if part == "\r" or part == _UP:
                self._is_bar = True
            elif part == "\n":
                self._break_line()
            elif self._is_bar:
                self._draw(part.strip())
            else:
                self._text.write(part)
                self._is_empty = False
        return len(text)

    def flush(self) -> None:
        """Flush the stream of ordinary text."""
        self._text.flush()

    def _break_line(self) -> None:
        if not self._is_bar and not self._is_empty:
            self._text.write("\n")
        self._is_bar, self._is_empty = False, True

    def _draw(self, state: str) -> None:
        if state and self._bars is not None and self._clock() - self._last_s >= LINE_S:
            self._last_s = self._clock()
            self._bars.write(f"{state}\n")
            self._bars.flush()


@contextlib.contextmanager
def bars_as_lines() -> Iterator[None]:
    """Turn bars into lines while standard error is a file or a pipe; terminals and notebooks draw bars."""
    draws = sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
    with contextlib.nullcontext() if draws else contextlib.redirect_stderr(PlainBars(sys.stderr, sys.stderr)):
        yield
