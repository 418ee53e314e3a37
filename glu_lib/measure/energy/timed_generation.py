"""Greedy generation for measurements: of fixed or natural length, or timed token by token."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import synchronize
from glu_lib.models.loading import LoadedModel, end_tokens

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding

_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Times of one generation in milliseconds: from start to first token, and from each token to the next."""

    first_token_ms: float
    later_tokens_ms: tuple[float, ...]


def generate_fixed(loaded: LoadedModel, batch: BatchEncoding, new_tokens: int) -> None:
    """Generate exactly `new_tokens` per row (`min_new_tokens = max_new_tokens`), even past an end of text.

    Raises:
        MeasurementError: if another number of tokens was generated.
    """
    output = _generate(loaded, batch, min_new_tokens=new_tokens, max_new_tokens=new_tokens)
    generated = output.shape[1] - batch["input_ids"].shape[1]
    if generated != new_tokens:
        raise MeasurementError(
            f"{generated} tokens per row were generated instead of {new_tokens}, so that energy per token would be "
            "wrong; leave the workload out for this model"
        )


def generate_natural(loaded: LoadedModel, batch: BatchEncoding, new_tokens: int) -> list[int]:
    """Generate until the end of the text, at most `new_tokens` per row.

    Returns:
        The number of tokens of each row up to and including its first end-of-sequence token, without padding.
    """
    output = _generate(loaded, batch, max_new_tokens=new_tokens)
    return real_tokens(output[:, batch["input_ids"].shape[1] :].tolist(), end_tokens(loaded.model))


def time_steps(loaded: LoadedModel, batch: BatchEncoding, new_tokens: int) -> StepTimes:
    """Time each token of a generation of fixed length.

    The device is synchronized after each token, so that these times say nothing about throughput.
    """
    from transformers import StoppingCriteria, StoppingCriteriaList

    device = loaded.model.device
    ticks: list[float] = []

    class Clock(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, _scores: Any, **_options: Any) -> torch.Tensor:
            synchronize(device)
            ticks.append(time.perf_counter())
            return input_ids.new_zeros(len(input_ids), dtype=bool)  # type: ignore[call-overload,no-any-return]

    synchronize(device)
    start_s = time.perf_counter()
    clock = StoppingCriteriaList([Clock()])
    _generate(loaded, batch, min_new_tokens=new_tokens, max_new_tokens=new_tokens, stopping_criteria=clock)
    later = tuple((after - before) * _MS_PER_S for before, after in pairwise(ticks))
    return StepTimes((ticks[0] - start_s) * _MS_PER_S, later)


def real_tokens(rows: list[list[int]], ends: frozenset[int]) -> list[int]:
    """The number of tokens of each row up to and including its first end-of-sequence token."""
    return [next((place for place, token in enumerate(row, start=1) if token in ends), len(row)) for row in rows]


def _generate(loaded: LoadedModel, batch: BatchEncoding, **options: Any) -> torch.Tensor:
    """Tokens (rows, prompt + new) of a greedy generation; the device is synchronized afterwards."""
    import torch

    with torch.inference_mode():
        output: torch.Tensor = loaded.model.generate(  # type: ignore[operator]
            **batch, do_sample=False, pad_token_id=loaded.tokenizer.pad_token_id, **options
        )
    synchronize(loaded.model.device)
    return output
