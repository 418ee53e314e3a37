"""Progress bars of all libraries: as they are on a terminal, elsewhere a plain line every half minute at most."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

LINE_S = 30.0  # as often as a log file gets a line of a bar that is drawn ten times a second
_UP = "\x1b[A"  # how tqdm gets back from a bar below another one
_MOVES = re.compile("(\r|\n|\x1b\\[A)")


class PlainBars(io.TextIOBase):
    """A stream for standard error that draws nothing: what begins with a carriage return is a bar's state.

    tqdm writes a carriage return and the bar each time, and a line break when it is through. Of these a line is kept
    now and then; ordinary text passes, but for empty lines.

    Args:
        bars: where the lines go; None drops them.
        text: where ordinary text goes.
        clock: seconds that only grow.
    """

    def __init__(self, bars: TextIO | None, text: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars, self._text, self._clock = bars, text, clock
        self._is_bar, self._is_empty = False, True
        self._last_s = clock()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """What tqdm asks to draw a bar of `#` instead of blocks."""
        return "ascii"

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, text: str) -> int:
        """Pass ordinary text, and the state of a bar if half a minute has gone by."""
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
        """Hand on what was passed."""
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
    """Keep bars out of standard error where it is a file or a pipe; terminals and notebooks draw them."""
    draws = sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
    with contextlib.nullcontext() if draws else contextlib.redirect_stderr(PlainBars(sys.stderr, sys.stderr)):
        yield
