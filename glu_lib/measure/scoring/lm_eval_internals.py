"""lm-eval's private names, as of version 0.4.13; they stand only in this module.

lm-eval has no public place between tokenizing and computing, or around one batch. The suite checks, counts, measures
and journals there, so it has to override these methods of `HFLM`.
"""

from __future__ import annotations

from typing import Any

from lm_eval.models.huggingface import HFLM


class OpenHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no type information
    """Scores as `HFLM`; the steps that the suite overrides have public names."""

    def score_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score tokenized requests (strings, context tokens, continuation tokens)."""
        return super()._loglikelihood_tokens(requests, *args, **options)

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of a context and its continuation."""
        tokens: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
        return tokens

    def run_batch(self, *args: Any, **options: Any) -> Any:
        """The forward pass of one batch."""
        return super()._model_call(*args, **options)

    def generate_batch(self, *args: Any, **options: Any) -> Any:
        """Generate the answers of one batch, (batch, length)."""
        return super()._model_generate(*args, **options)

    # lm-eval calls its own names.

    def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        return self.score_tokens(requests, *args, **options)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        return self.encode_pair(context, continuation)

    def _model_call(self, *args: Any, **options: Any) -> Any:
        return self.run_batch(*args, **options)

    def _model_generate(self, *args: Any, **options: Any) -> Any:
        return self.generate_batch(*args, **options)


def filters_of(task: Any) -> Any:
    """The filters of an lm-eval task; there is no public way to apply them to other answers."""
    return task._filters
