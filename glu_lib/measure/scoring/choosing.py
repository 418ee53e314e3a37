"""Chooses a model's attention among those that give its logits: on a GPU the faster, else the suite's own."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.greedy_answers import StopRule, generate
from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.study.settings import Attention, AttentionChoice

_PROMPTS = 16
_BEGINNING, _OWN = 256, 24  # tokens that all prompts share, and of each prompt alone; fewer in a short context
_NEW_TOKENS = 16
_ROUNDS = 2  # after one that does not count; the faster of them counts
# The model's own attention must be this much faster: it holds shared tokens once per row, and seats stay empty.
_MARGIN = 1.1


def choose_attention(
    forward: SharedForward, vocab_size: int, max_length: int, clock: Callable[[], float] = time.perf_counter
) -> AttentionChoice:
    """Set the attention of `forward` from now on, and return why it is this one.

    On a CPU the suite's own is not timed: it is never slower there (`benchmarks/decode_step.py`).

    Args:
        forward: forward pass of the model; its `attention` and `cache_bytes` are set.
        vocab_size: upper bound of the random token ids.
        max_length: length of the model's context in tokens.
        clock: returns monotonic time in seconds.
    """
    try_out(forward, vocab_size, max_length)
    if forward.attention is Attention.PLAIN:
        return AttentionChoice.ONLY_EQUAL
    if not is_timed(forward):
        return AttentionChoice.NOT_TIMED
    prompts = _prompts(vocab_size, max_length)
    times_s = {attention: _decoding_s(forward, attention, prompts, clock) for attention in Attention}
    is_slower = times_s[Attention.SHARED] > _MARGIN * times_s[Attention.PLAIN]
    forward.attention = Attention.PLAIN if is_slower else Attention.SHARED
    return AttentionChoice.FASTER


def is_timed(forward: SharedForward) -> bool:
    """Whether the attention is chosen by time: on GPUs, whose kernels and call times differ from card to card."""
    return bool(forward.model.device.type == "cuda")


def _prompts(vocab_size: int, max_length: int) -> list[Tokens]:
    """Prompts that begin alike and leave room for the new tokens."""
    room = max_length - _NEW_TOKENS
    own = min(_OWN, room // 2)
    beginning = min(_BEGINNING, room - own)
    tokens = torch.randint(0, vocab_size, (_PROMPTS, beginning + own), generator=torch.Generator().manual_seed(2))
    tokens[:, :beginning] = tokens[0, :beginning]
    return [tuple(row) for row in tokens.tolist()]


def _decoding_s(
    forward: SharedForward, attention: Attention, prompts: list[Tokens], clock: Callable[[], float]
) -> float:
    """Seconds to answer the prompts; the tokens of these forward passes are not counted as the run's."""
    forward.attention, counted = attention, forward.forwarded_tokens
    # No token ends an answer. New tokens are read on the host at each step, so the GPU has finished at the end.
    rule = StopRule([], frozenset(), lambda _tokens: "")
    taken: list[float] = []
    for _round in range(1 + _ROUNDS):
        start_s = clock()
        with forward.own_attention():
            for _answers in generate(
                forward, prompts, Budget(_PROMPTS, forward.cache_tokens()), max_new_tokens=_NEW_TOKENS, rule=rule
            ):
                pass
        taken.append(clock() - start_s)
    forward.forwarded_tokens = counted
    return min(taken[1:])
