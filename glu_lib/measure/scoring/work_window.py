"""lm-eval's `HFLM` with a window around what the model computes, for whoever measures that work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from glu_lib.measure.scoring.counting_hflm import CountingHFLM


class MeasuredHFLM(CountingHFLM):
    """Scores and counts as `CountingHFLM`; `work_window` is entered around each piece of the model's work.

    Log-likelihoods are tokenized before. Prompts of generations and rolling texts `HFLM` tokenizes in the midst of its
    work, anew at each level: that is inside, and one window within another is a part of it.
    """

    work_window: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)

    def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score requests (strings, context tokens, continuation tokens)."""
        with self.work_window():
            return super()._loglikelihood_tokens(requests, *args, **options)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, batch by batch."""
        with self.work_window():
            totals: list[float] = super().loglikelihood_rolling(requests, disable_tqdm)
        return totals

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Answers as `HFLM` gives them."""
        with self.work_window():
            return super().generate_until(requests, disable_tqdm)
