"""Find NaN and infinity in logits and log-probabilities, and explain the cause in one line."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from glu_lib.errors import NotFiniteError


def is_number(logprob: float) -> bool:
    """Whether a log-probability is valid: finite, or -inf for a text that contains a token of probability 0."""
    return logprob < math.inf  # False for NaN


def check_scores(logprobs: Collection[float], model: Any) -> None:
    """Check the log-probabilities of a batch.

    Raises:
        NotFiniteError: if one is NaN or +inf.
    """
    broken = sum(not is_number(logprob) for logprob in logprobs)
    if broken:
        raise NotFiniteError(_line("log-probabilities", broken, f"{len(logprobs)} requests", model))


def check_choice(logits: torch.Tensor, chosen: torch.Tensor, model: Any) -> None:
    """Check the logits (rows, vocabulary) by their most probable tokens `chosen` (rows,).

    Raises:
        NotFiniteError: if a row has no most probable token.
    """
    check_best(logits.gather(-1, chosen[:, None]), model)


def check_best(best: torch.Tensor, model: Any) -> None:
    """Check the logits of the most probable tokens, one for each prompt.

    The logit of the most probable token is NaN if any logit of the row is NaN, and infinite if one is +inf or all
    are -inf. So it is enough to look at this one.

    Raises:
        NotFiniteError: if a prompt has no most probable token.
    """
    broken = int((~best.isfinite()).sum())
    if broken:
        raise NotFiniteError(_line("logits", broken, f"{len(best)} prompts", model))


@contextmanager
def checked_logits(model: Any) -> Iterator[None]:
    """Check in each forward pass of `model` within the block that every row has a most probable next token.

    This is a hook and not a logits processor of transformers, because these run after the one that replaces NaN and
    infinity.
    """

    def check(_model: Any, _args: Any, output: Any) -> None:
        logits = output.logits[:, -1]
        check_choice(logits, logits.argmax(dim=-1), model)

    handle = model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _line(what: str, broken: int, asked: str, model: Any) -> str:
    return f"the {what} of {broken} of {asked} in a batch are NaN or infinite; {_cause(model)}"


@torch.inference_mode()
def _cause(model: Any) -> str:
    """The likely cause of NaN or infinity, judged by the model's weights and dtype, and the remedy."""
    dtype = str(model.dtype).removeprefix("torch.")
    broken = {name: weight for name, weight in model.named_parameters() if not _is_finite(weight)}
    where = f"{next(iter(broken))} and {len(broken) - 1} more" if len(broken) > 1 else "".join(broken)
    # Casting a checkpoint to float16 turns large weights into infinity, but never into NaN.
    if broken and (model.dtype != torch.float16 or any(bool(weight.isnan().any()) for weight in broken.values())):
        return f"the weights contain such values ({where}): download or create this checkpoint again"
    if broken:
        return f"weights are too large for float16 ({where}): try --dtype float32"
    if model.dtype != torch.float32:
        return f"the weights are finite, but activations overflow in {dtype}: try --dtype float32"
    return "the weights are finite, but activations overflow in float32: leave this level or model out"


def _is_finite(weight: torch.Tensor) -> bool:
    # Minimum and maximum are NaN if any value is. Unlike isfinite() on the weight, this needs no tensor of its size.
    return not weight.numel() or all(bool(end.isfinite()) for end in torch.aminmax(weight))
