"""The decoder's forward pass over trees of shared prefixes, behind a cached prefix; output layer where it is asked."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

from glu_lib.machine.device_errors import is_device_lost, is_out_of_memory
from glu_lib.measure.scoring.packing import Tokens, Tree

_TOLERANCE = 1e-4  # of the self-check, relative to the largest logit; a wrong mask or position is off by more than 0.1
_CHECKED_TOKENS = 64  # local attention of a longer reach shows by the configuration
# What a configuration calls the reach of local attention, and what is done to logits behind the output layer.
_WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "local_attention", "attention_window_size")
_LOGIT_CHANGES = {"final_logit_softcapping": (None,), "logit_scale": (None, 1, 1.0), "logits_scaling": (None, 1, 1.0)}
# A row of T tokens costs attention 4·T·h multiplications per token and layer, the layer's weights some 32·h² (at an
# expansion ratio of 4): rows of 2·h tokens keep attention under a quarter. Beyond 512 longer rows save nothing more.
_MOST_ROW_TOKENS, _LEAST_ROW_TOKENS = 512, 64


class SharedForward:
    """A causal language model that computes each distinct token once; `forwarded_tokens` counts, padding included."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.forwarded_tokens = 0

    @property
    def row_tokens(self) -> int:
        """Tokens worth packing into one row of a batch."""
        hidden_size = getattr(self.model.config, "hidden_size", _MOST_ROW_TOKENS)
        return min(_MOST_ROW_TOKENS, max(_LEAST_ROW_TOKENS, 2 * hidden_size))

    @torch.inference_mode()
    def hidden_states(self, batch: Sequence[Sequence[Tree]], past: int, cache: Any) -> torch.Tensor:
        """Forward rows of trees after a cached prefix of `past` tokens; returns (rows, width, hidden)."""
        sizes = [sum(len(tree.tokens) for tree in row) for row in batch]
        width = max(sizes)
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        for index, row in enumerate(batch):
            tokens[index, : sizes[index]] = torch.tensor([token for tree in row for token in tree.tokens])
        # Chains need no mask of their own: padding stands behind them, where no token looks.
        plain = cache is None and all(len(row) == 1 and row[0].is_chain for row in batch)
        output = self._backbone()(
            input_ids=tokens.to(self.model.device),
            past_key_values=expanded(cache, len(batch)),
            use_cache=cache is not None,
            **({} if plain else self._tree_attention(batch, width, past)),
        )
        self.forwarded_tokens += tokens.numel()
        return output.last_hidden_state  # type: ignore[no-any-return]

    @torch.inference_mode()
    def prefix_cache(self, prefix: Tokens) -> Any:
        """Keys and values of a shared prefix, one row; None for an empty one."""
        if not prefix:
            return None
        self.forwarded_tokens += len(prefix)
        tokens = torch.tensor([prefix], device=self.model.device)
        return self._backbone()(input_ids=tokens, use_cache=True).past_key_values

    @torch.inference_mode()
    def output(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (positions, vocabulary) of hidden states (positions, hidden)."""
        logits: torch.Tensor = self.model.get_output_embeddings()(hidden)
        return logits

    @torch.inference_mode()
    def matches_plain_forward(self, vocab_size: int, max_length: int) -> bool:
        """Whether a cached prefix with two branches, and two chains, give what the plain forward pass gives.

        Args:
            vocab_size: random tokens are drawn below it.
            max_length: of the model's context.
        """
        if not self._is_plain(max_length):
            return False
        length = min(_CHECKED_TOKENS, max_length - 1)
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(0, vocab_size, (2, length), generator=generator)
        tokens[1, : length // 2] = tokens[0, : length // 2]
        first, second = (tuple(row.tolist()) for row in tokens)
        cut = max(1, length // 4)
        tree = Tree()
        path = tree.add(first[cut:], (), 0)
        tree.add(second[cut:], path, length // 2 - cut)
        chains = [Tree(), Tree()]
        chains[0].add(first, (), 0)
        chains[1].add(second[:cut], (), 0)
        try:
            hidden = self.hidden_states([[tree]], cut, self.prefix_cache(first[:cut]))
            packed = torch.stack([self.output(hidden[0, nodes]) for nodes in tree.paths.values()])
            hidden = self.hidden_states([[chain] for chain in chains], 0, None)
            alone = [self.output(hidden[0]), self.output(hidden[1, :cut])]
            plain = self.model(tokens.to(self.model.device)).logits
        except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as error:
            if is_out_of_memory(error) or is_device_lost(error):
                raise
            return False
        scale = plain.float().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        # bfloat16 has 8 bits: its own rounding is the bound there.
        tolerance = max(_TOLERANCE, 4 * torch.finfo(self.model.dtype).eps)
        pairs = ((packed, plain[:, cut:]), (alone[0], plain[0]), (alone[1], plain[1, :cut]))
        return all(bool((ours - theirs).float().abs().max() / scale < tolerance) for ours, theirs in pairs)

    def _is_plain(self, max_length: int) -> bool:
        """Whether the configuration speaks of full attention, through a mask that can be given, and of plain logits."""
        config = self.model.config.get_text_config()
        windows = [getattr(config, name, None) for name in _WINDOWS]
        is_local = any(isinstance(window, int) and window < max_length for window in windows)
        is_changed = any(getattr(config, name, None) not in plain for name, plain in _LOGIT_CHANGES.items())
        # Kernels of other kinds take no mask of our own, or read it differently.
        is_masked = getattr(self.model.config, "_attn_implementation", None) in ("sdpa", "eager")
        return is_masked and not is_local and not is_changed

    def _tree_attention(self, batch: Sequence[Sequence[Tree]], width: int, past: int) -> dict[str, torch.Tensor]:
        """Positions (rows, width), and the mask (rows, 1, width, past + width) that is added to attention scores."""
        positions = torch.zeros((len(batch), width), dtype=torch.long)
        allowed = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)  # padding sees itself: no empty softmax
        for index, row in enumerate(batch):
            offset = 0
            for tree in row:
                end = offset + len(tree.tokens)
                positions[index, offset:end] = torch.tensor(tree.depths) + past
                allowed[index, offset:end, offset:end] = _ancestors(tree)
                offset = end
        allowed = F.pad(allowed, (past, 0), value=True)
        mask = torch.zeros(allowed.shape, dtype=self.model.dtype)
        mask.masked_fill_(~allowed, torch.finfo(self.model.dtype).min)
        device = self.model.device
        return {"position_ids": positions.to(device), "attention_mask": mask[:, None].to(device)}

    def _backbone(self) -> Any:
        """The decoder without its output layer."""
        return self.model.base_model


def expanded(cache: Any, count: int) -> Any:
    """A copy of a one-row cache for `count` rows: the forward pass appends to it."""
    if cache is None:
        return None
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(count)
    return repeated


def _ancestors(tree: Tree) -> torch.Tensor:
    """Boolean (size, size): may a token attend to another, that is: is it an ancestor or the token itself."""
    size = len(tree.tokens)
    if tree.is_chain:
        return torch.ones((size, size), dtype=torch.bool).tril()
    allowed = torch.zeros((size, size), dtype=torch.bool)
    # A run of nodes, each the child of the one before: what the run's root may see, and the run up to itself.
    starts = [node for node, parent in enumerate(tree.parents) if parent != node - 1 or node == 0]
    for start, stop in pairwise([*starts, size]):
        if tree.parents[start] >= 0:
            allowed[start:stop] = allowed[tree.parents[start]]
        allowed[start:stop, start:stop] = torch.ones((stop - start, stop - start), dtype=torch.bool).tril()
    return allowed
