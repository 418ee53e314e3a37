"""Greedy decoding after a shared, cached prefix; finished rows are removed from the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from glu_lib.measure.scoring.cache import grow_in_place
from glu_lib.measure.scoring.finite import check_choice

_SHRINK_AT = 0.75  # finished rows are removed only when they are at least a quarter, because removal copies the cache


@torch.inference_mode()
def decode_greedily(
    model: Any,
    suffixes: Sequence[Sequence[int]],
    *,
    past: int,
    cache: Any,
    max_new_tokens: int,
    has_stopped: Callable[[Sequence[int]], bool],
    begun: Sequence[Sequence[int]] = (),
    observe: Callable[[Sequence[Sequence[int]]], None] = lambda _made: None,
) -> list[list[int]]:
    """Continue each prompt with the most probable tokens, using the model's own forward pass.

    Args:
        model: a causal language model whose forward pass takes mask, positions and cache.
        suffixes: the prompts' tokens after the cached prefix, at least one each.
        past: number of tokens in the cached prefix.
        cache: keys and values of the prefix, one row per suffix, or None; changed in place.
        max_new_tokens: most new tokens of a row.
        has_stopped: whether a row with these new tokens is finished.
        begun: new tokens of each row from an interrupted run, which do not finish the row; empty for a fresh start.
        observe: called after every step with the new tokens of each row.

    Returns:
        The new tokens of each row, including the one that stopped it.

    Raises:
        NotFiniteError: if the logits of a row are not finite.
    """
    device = model.device
    cache = grow_in_place(cache)
    made = [list(tokens) for tokens in begun] or [[] for _ in suffixes]
    suffixes = [(*suffix, *tokens) for suffix, tokens in zip(suffixes, made, strict=True)]
    width = max(map(len, suffixes))
    tokens = torch.zeros((len(suffixes), width), dtype=torch.long)
    mask = torch.zeros((len(suffixes), past + width), dtype=torch.long)
    mask[:, :past] = 1
    for row, suffix in enumerate(suffixes):
        tokens[row, width - len(suffix) :] = torch.tensor(suffix)
        mask[row, past + width - len(suffix) :] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, past:]
    tokens, mask, positions = tokens.to(device), mask.to(device), positions.to(device)
    alive = list(range(len(suffixes)))  # index of the suffix in each batch row; includes finished rows not yet removed
    finished: set[int] = set()
    while alive:
        output = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values if output.past_key_values is cache else grow_in_place(output.past_key_values)
        logits = output.logits[:, -1]  # (rows, vocabulary)
        chosen = logits.argmax(dim=-1)  # (rows,)
        check_choice(logits, chosen, model)
        for row, token in zip(alive, chosen.tolist(), strict=True):
            if row not in finished:
                made[row].append(token)
                if len(made[row]) >= max_new_tokens or has_stopped(made[row]):
                    finished.add(row)
        observe(made)
        kept = [place for place, row in enumerate(alive) if row not in finished]
        if not kept:
            break
        mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
        positions = positions[:, -1:] + 1
        if len(kept) <= _SHRINK_AT * len(alive):
            index = torch.tensor(kept, device=device)
            cache.batch_select_indices(index)
            chosen, mask, positions = chosen[index], mask[index], positions[index]
            alive = [alive[place] for place in kept]
        tokens = chosen[:, None]
    return made
