"""Logits and log-probabilities that are no numbers: found where they are made, told in one line with the cause."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from glu_lib.errors import NotFiniteError


def is_number(logprob: float) -> bool:
    """Whether a log-probability is one: finite, or -inf, that of a text with a token of probability 0."""
    return logprob < math.inf  # False for NaN


def check_scores(logprobs: Collection[float], model: Any) -> None:
    """Let pass the log-probabilities of a batch.

    Raises:
        NotFiniteError: if one is NaN or +inf.
    """
    broken = sum(not is_number(logprob) for logprob in logprobs)
    if broken:
        raise NotFiniteError(_line("log-probabilities", broken, f"{len(logprobs)} requests", model))


def check_choice(logits: torch.Tensor, chosen: torch.Tensor, model: Any) -> None:
    """Let pass the tokens (rows,) that are the most probable by logits (rows, vocabulary).

    The most probable token's logit is NaN if any is; it is infinite if one is +inf, or all are -inf.

    Raises:
        NotFiniteError: if a row has no most probable token.
    """
    best = logits.gather(-1, chosen[:, None])
    broken = int((~best.isfinite()).sum())
    if broken:
        raise NotFiniteError(_line("logits", broken, f"{len(chosen)} prompts", model))


@contextmanager
def checked_logits(model: Any) -> Iterator[None]:
    """Within the block each forward pass of `model` must give every row a most probable next token.

    A hook, not a logits processor of transformers: those stand behind the one that replaces what is no number.
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
    """Why a model gives no numbers, as far as its weights and its dtype tell, and the remedy."""
    dtype = str(model.dtype).removeprefix("torch.")
    broken = {name: weight for name, weight in model.named_parameters() if not _is_finite(weight)}
    where = f"{next(iter(broken))} and {len(broken) - 1} more" if len(broken) > 1 else "".join(broken)
    # Casting a checkpoint to float16 makes infinity of large weights, but never NaN.
    if broken and (model.dtype != torch.float16 or any(bool(weight.isnan().any()) for weight in broken.values())):
        return f"the weights hold such values ({where}): get or make this checkpoint anew"
    if broken:
        return f"weights are too large for float16 ({where}): try --dtype float32"
    if model.dtype != torch.float32:
        return f"the weights are finite and its activations overflow in {dtype}: try --dtype float32"
    return "the weights are finite and its activations overflow in float32: leave this level or model out"


def _is_finite(weight: torch.Tensor) -> bool:
    # The two ends are NaN if any value is; no copy of the weight is made for it.
    return not weight.numel() or all(bool(end.isfinite()) for end in torch.aminmax(weight))
