"""lm-eval's `HFLM` with a context manager around the model's work, for energy windows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from glu_lib.measure.scoring.counting_hflm import CountingHFLM


class MeasuredHFLM(CountingHFLM):
    """Scores and counts as `CountingHFLM`; `work_window` is entered around each piece of the model's work.

    Log-likelihood requests are tokenized before the window. `HFLM` tokenizes prompts of generations and rolling texts
    while it computes, again at each level, so that this work is inside the window. Windows may be nested; an inner one
    is part of the outer one.
    """

    work_window: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)

    def score_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score requests (strings, context tokens, continuation tokens)."""
        with self.work_window():
            return super().score_tokens(requests, *args, **options)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probabilities of whole texts."""
        with self.work_window():
            totals: list[float] = super().loglikelihood_rolling(requests, disable_tqdm)
        return totals

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The same answers as from `HFLM`."""
        with self.work_window():
            return super().generate_until(requests, disable_tqdm)
