"""Tries out the suite's attention once per model: where it gives other logits, the model keeps its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from glu_lib.machine.device_errors import is_device_lost, is_out_of_memory
from glu_lib.measure.scoring.drafts import most_drafted
from glu_lib.measure.scoring.forward import CHECK_ERRORS, SharedForward, tolerance
from glu_lib.measure.scoring.packing import Tree
from glu_lib.measure.scoring.pieces import new_cache, prefill, row_pieces
from glu_lib.measure.scoring.seats import spans
from glu_lib.measure.scoring.shared_attention import View
from glu_lib.study.settings import Attention

_TOKENS = 48  # of each sequence
_BEGINNING = 16  # of which all sequences share so many
_PIECE = 20  # tokens of a piece
_STEPS = 3  # decoding steps


def try_out(forward: SharedForward, vocab_size: int, max_length: int) -> None:
    """Use the suite's attention from now on if all its logits are those of the plain forward pass.

    Args:
        forward: forward pass of the model; its `attention` and `cache_bytes` are set.
        vocab_size: upper bound of the random token ids.
        max_length: length of the model's context in tokens.
    """
    forward.attention = Attention.PLAIN
    if forward.kernel != "sdpa" or max_length <= _TOKENS:  # another kernel was chosen for this model: it stays
        return
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, vocab_size, (3, _TOKENS), generator=generator)
    tokens[:, :_BEGINNING] = tokens[0, :_BEGINNING]
    forward.attention = Attention.SHARED
    try:
        if not _is_equal(forward, tokens):
            forward.attention = Attention.PLAIN
    except CHECK_ERRORS as error:
        forward.attention = Attention.PLAIN
        if is_out_of_memory(error) or is_device_lost(error):
            raise


@torch.inference_mode()
def _is_equal(forward: SharedForward, tokens: torch.Tensor) -> bool:
    model = forward.model
    plain = model(tokens.to(model.device)).logits
    with forward.own_attention():
        pairs = [
            (_answers(forward, tokens), plain[:, _BEGINNING:]),
            (_decoded(forward, tokens, _BEGINNING), _expected(plain)),
            (_decoded(forward, tokens, 0), _expected(plain)),
            (forward.output(forward.hidden_states(_chains(tokens), 0, None)), plain),
            (_in_pieces(forward, tokens), plain[:1]),
        ]
    scale = plain.float().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return all(bool((ours - theirs).float().abs().max() / scale < tolerance(model.dtype)) for ours, theirs in pairs)


def _answers(forward: SharedForward, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of rows behind a beginning, as log-likelihoods are computed: (rows, tokens, vocabulary)."""
    beginning = forward.prefix_cache(tuple(tokens[0, :_BEGINNING].tolist()))
    return forward.output(forward.hidden_states(_chains(tokens[:, _BEGINNING:]), _BEGINNING, beginning))


def _in_pieces(forward: SharedForward, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of the first row, as those of long rows are computed: (1, tokens, vocabulary)."""
    ((tree,), *_) = _chains(tokens)
    return forward.output(torch.cat(list(row_pieces(forward, tree, None, _PIECE)), dim=1))


def _chains(tokens: torch.Tensor) -> list[list[Tree]]:
    rows = []
    for row in tokens.tolist():
        tree = Tree()
        tree.add(tuple(row), (), 0)
        rows.append([tree])
    return rows


def _lengths(width: int) -> Sequence[int]:
    """Different lengths of three prompts, which all leave room for the steps."""
    return (width - _STEPS, width // 2, width // 2 - 4)


def _expected(plain: torch.Tensor) -> torch.Tensor:
    """The plain logits where `_decoded` reads its own: (rows, 1 + steps, vocabulary)."""
    return torch.stack([plain[row, length - 1 : length + _STEPS] for row, length in enumerate(_lengths(_TOKENS))])


def _decoded(forward: SharedForward, tokens: torch.Tensor, past: int) -> torch.Tensor:
    """Logits of prompts and decoding steps in seats: (rows, 1 + steps, vocabulary)."""
    beginning: Any = forward.prefix_cache(tuple(tokens[0, :past].tolist()))
    lengths = [length - past for length in _lengths(_TOKENS)]
    cache = new_cache(forward.model, len(lengths), _TOKENS)
    device, dtype = forward.model.device, forward.model.dtype
    suffixes = [row[past : past + length] for row, length in zip(tokens.tolist(), lengths, strict=True)]
    hidden = [prefill(forward, suffixes, cache, start=0, beginning=beginning)]
    done = 0
    for new in (1, _STEPS - 1) if most_drafted(device) else [1] * _STEPS:  # with drafts a step has several tokens
        places = torch.tensor(lengths)[:, None] + torch.arange(done, done + new)  # (rows, new)
        done, counts = done + new, [new] * len(lengths)
        columns = places.flatten()[:, None]
        cache.aim_at(columns[:, 0].to(device), int(places.max()) + 1, counts)
        states = forward.states(
            tokens.gather(1, places + past).flatten()[:, None],
            position_ids=(columns + past).to(device),
            past_key_values=cache,
            use_cache=True,
            glu_view=View(beginning, spans((places[:, -1] + 1).tolist(), device, dtype, counts)),
        )
        hidden += states[:, 0].unflatten(0, (len(lengths), new)).unbind(dim=1)
    forward.cache_bytes = cache.size_bytes / (cache.seats * cache.capacity)
    return forward.output(torch.stack(hidden, dim=1))
