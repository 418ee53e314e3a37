"""Shows on a progress bar that answers grow, while none of them is finished yet."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glu_lib.measure.scoring.kept import KeptTokens
from glu_lib.measure.scoring.packing import Tokens

REFRESH_S = 10.0  # time between two looks at the answers; less than a log's time between two lines


@dataclass(slots=True)
class ShownAnswers:
    """The journal `kept` (None: no journal), and a bar that also moves between two finished answers.

    An answer of a thousand tokens takes minutes on a CPU. `bar` is tqdm's.
    """

    kept: KeptTokens | None
    bar: Any
    _shown_s: float = field(default_factory=lambda: time.monotonic())

    def finished(self, prompt: Tokens) -> list[int] | None:
        """The new tokens of a finished answer; None if the answer is not finished."""
        return self.kept.finished(prompt) if self.kept else None

    def begun(self, prompt: Tokens) -> list[int]:
        """The new tokens of an interrupted answer; usually empty."""
        return self.kept.begun(prompt) if self.kept else []

    def grow(self, made: Mapping[Tokens, Sequence[int]]) -> None:
        """Journal the new tokens of a batch, and show their number every REFRESH_S seconds."""
        if self.kept:
            self.kept.grow(made)
        if time.monotonic() - self._shown_s >= REFRESH_S:
            self._shown_s = time.monotonic()
            self.bar.set_postfix_str(f"{sum(map(len, made.values()))} tokens of {len(made)} unfinished")
