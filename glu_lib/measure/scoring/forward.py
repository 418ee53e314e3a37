"""The decoder's forward pass over trees of shared prefixes after a cached prefix; the LM head is a separate step."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

from glu_lib.machine.device_errors import is_device_lost, is_out_of_memory
from glu_lib.machine.memory import usable_bytes
from glu_lib.measure.scoring.packing import Tokens, Tree
from glu_lib.measure.scoring.pieces import forward_prefix, is_long
from glu_lib.measure.scoring.shared_attention import NAME, Beginning, View
from glu_lib.measure.scoring.tree_mask import ancestors
from glu_lib.study.settings import Attention

_TOLERANCE = 1e-4  # of the self-check, relative to the largest logit; wrong masks or positions change it by over 0.1
_CHECKED_TOKENS = 64  # of the self-check; attention windows longer than this are found in the configuration
# Configuration fields for the window of local attention, and for changes to the logits after the LM head.
_WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "local_attention", "attention_window_size")
_LOGIT_CHANGES = {"final_logit_softcapping": (None,), "logit_scale": (None, 1, 1.0), "logits_scaling": (None, 1, 1.0)}
_CACHE_SHARE = 0.5  # of the free memory; the rest is for the forward pass and for copying buffers that grow
# In a row of T tokens, attention costs 4·T·h multiplications per token and layer, the layer's weights about 32·h² (at
# an expansion ratio of 4). With at most 2·h tokens per row, attention costs less than a quarter of the weights. Rows
# longer than 512 tokens save no more time.
_MOST_ROW_TOKENS, _LEAST_ROW_TOKENS = 512, 64

# What a model raises to which trees, positions or a cache do not fit.
CHECK_ERRORS = (AttributeError, TypeError, ValueError, RuntimeError, IndexError)


class SharedForward:
    """Forward passes that compute each distinct token once; `forwarded_tokens` counts all tokens, with padding.

    `attention` is the attention in use; it is the model's own until the suite's has been tried out. `cache_bytes` is
    the size of a token's keys and values, None until then.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.forwarded_tokens = 0
        self.attention = Attention.PLAIN
        self.cache_bytes: float | None = None

    def cache_tokens(self) -> int | None:
        """Number of cached tokens that the free memory has room for; None if their size is not known."""
        if self.attention is Attention.PLAIN or self.cache_bytes is None:
            return None
        return int(usable_bytes(str(self.model.device)) * _CACHE_SHARE / self.cache_bytes)

    @property
    def kernel(self) -> str | None:
        """Name of the attention function that the model's configuration asks for."""
        # There is no public name for it in transformers 5.23.
        return getattr(self.model.config, "_attn_implementation", None)

    @contextmanager
    def own_attention(self) -> Iterator[None]:
        """Within the block the model computes with the attention in use; afterwards it has its own again."""
        before = self.kernel
        if self.attention is Attention.PLAIN or before == NAME:
            yield
            return
        self.model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)

    @property
    def row_tokens(self) -> int:
        """Most tokens to pack into one row of a batch."""
        hidden_size = getattr(self.model.config, "hidden_size", _MOST_ROW_TOKENS)
        return min(_MOST_ROW_TOKENS, max(_LEAST_ROW_TOKENS, 2 * hidden_size))

    def divides(self, row: Sequence[Tree]) -> bool:
        """Whether a row is computed in pieces; with the model's own attention it is computed in one pass."""
        return self.attention is Attention.SHARED and is_long(row)

    @torch.inference_mode()
    def hidden_states(self, batch: Sequence[Sequence[Tree]], past: int, cache: Any) -> torch.Tensor:
        """Hidden states (rows, width, hidden) of rows of trees, after a cached prefix of `past` tokens."""
        sizes = [sum(len(tree.tokens) for tree in row) for row in batch]
        width = max(sizes)
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        for index, row in enumerate(batch):
            tokens[index, : sizes[index]] = torch.tensor([token for tree in row for token in tree.tokens])
        # Chains need no tree mask: padding is on the right, and causal attention never looks there.
        plain = cache is None and all(len(row) == 1 and row[0].is_chain for row in batch)
        arguments: dict[str, Any] = {} if plain else self._tree_attention(batch, width, past)
        if isinstance(cache, Beginning):
            arguments |= {"use_cache": False, "glu_view": View(cache)}
        else:
            arguments |= {"past_key_values": expanded(cache, len(batch)), "use_cache": cache is not None}
        return self.states(tokens, **arguments)

    @torch.inference_mode()
    def states(self, tokens: torch.Tensor, **arguments: Any) -> torch.Tensor:
        """Hidden states (rows, width, hidden) of `tokens` (rows, width); `arguments` are the model's own."""
        self.forwarded_tokens += tokens.numel()
        output = self.backbone()(input_ids=tokens.to(self.model.device), **arguments)
        return output.last_hidden_state  # type: ignore[no-any-return]

    @torch.inference_mode()
    def prefix_cache(self, prefix: Tokens) -> Any:
        """Keys and values of a shared prefix, as a `Beginning` or a cache of one row; None for an empty prefix."""
        if not prefix:
            return None
        if self.attention is Attention.SHARED:
            return forward_prefix(self, prefix)
        self.forwarded_tokens += len(prefix)
        tokens = torch.tensor([prefix], device=self.model.device)
        return self.backbone()(input_ids=tokens, use_cache=True).past_key_values

    @torch.inference_mode()
    def output(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the LM head: logits (positions, vocabulary) of hidden states (positions, hidden)."""
        logits: torch.Tensor = self.model.get_output_embeddings()(hidden)
        return logits

    @torch.inference_mode()
    def matches_plain_forward(self, vocab_size: int, max_length: int) -> bool:
        """Self-check: whether a cached prefix with two branches, and two chains, give the plain forward pass's logits.

        Args:
            vocab_size: upper bound of the random token ids.
            max_length: length of the model's context in tokens.
        """
        self.attention = Attention.PLAIN
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
        except CHECK_ERRORS as error:
            if is_out_of_memory(error) or is_device_lost(error):
                raise
            return False
        scale = plain.float().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        limit = tolerance(self.model.dtype)
        pairs = ((packed, plain[:, cut:]), (alone[0], plain[0]), (alone[1], plain[1, :cut]))
        return all(bool((ours - theirs).float().abs().max() / scale < limit) for ours, theirs in pairs)

    def _is_plain(self, max_length: int) -> bool:
        """Whether the configuration says full attention, a kernel that accepts a custom mask, and unchanged logits."""
        config = self.model.config.get_text_config()
        windows = [getattr(config, name, None) for name in _WINDOWS]
        is_local = any(isinstance(window, int) and window < max_length for window in windows)
        is_changed = any(getattr(config, name, None) not in plain for name, plain in _LOGIT_CHANGES.items())
        # Other attention kernels accept no custom mask, or interpret it differently.
        is_masked = self.kernel in ("sdpa", "eager")
        return is_masked and not is_local and not is_changed

    def _tree_attention(self, batch: Sequence[Sequence[Tree]], width: int, past: int) -> dict[str, torch.Tensor]:
        """Position ids (rows, width), and the additive attention mask (rows, 1, width, past + width) for trees."""
        positions = torch.zeros((len(batch), width), dtype=torch.long)
        allowed = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)  # padding sees itself: no empty softmax
        for index, row in enumerate(batch):
            offset = 0
            for tree in row:
                end = offset + len(tree.tokens)
                positions[index, offset:end] = torch.tensor(tree.depths) + past
                allowed[index, offset:end, offset:end] = ancestors(tree)
                offset = end
        allowed = F.pad(allowed, (past, 0), value=True)
        mask = torch.zeros(allowed.shape, dtype=self.model.dtype)
        mask.masked_fill_(~allowed, torch.finfo(self.model.dtype).min)
        device = self.model.device
        return {"position_ids": positions.to(device), "attention_mask": mask[:, None].to(device)}

    def backbone(self) -> Any:
        """The decoder without its LM head."""
        return self.model.base_model


def tolerance(dtype: torch.dtype) -> float:
    """Largest difference of logits in a self-check, relative to the largest logit."""
    # bfloat16 has 8 bits of precision, so its rounding error exceeds the usual tolerance.
    return max(_TOLERANCE, 4 * torch.finfo(dtype).eps)


def expanded(cache: Any, count: int) -> Any:
    """Copy a one-row cache to `count` rows. It is a copy because the forward pass appends to its cache."""
    if cache is None:
        return None
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(count)
    return repeated
