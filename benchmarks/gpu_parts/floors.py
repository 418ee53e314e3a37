"""The least products and bytes that a piece of work needs, from the model's shape; seconds at the measured rates.

Only products of weights are counted, not those of attention, so that shares of a rate are lower bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glu_lib.measure.scoring.made_up_requests import Shape
from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType


@dataclass(frozen=True, slots=True)
class Floor:
    """Floating point operations (`flop`, a multiplication and an addition are two) and bytes of a piece of work."""

    flop: float
    read_bytes: float = 0.0

    def seconds(self, rates: Mapping[str, Any] | None, dtype: DType) -> float | None:
        """The longer of both at the measured rates; None without rates of this dtype."""
        flop_per_s = matmul_flop_per_s(rates, dtype)
        if rates is None or flop_per_s is None:
            return None
        copy_bytes_per_s: float = rates["copy_bytes_per_s"]
        return max(self.flop / flop_per_s, self.read_bytes / copy_bytes_per_s)


def matmul_flop_per_s(rates: Mapping[str, Any] | None, dtype: DType) -> float | None:
    """The measured rate of matrix products in `dtype`; None if it was not measured."""
    found: float | None = (rates or {}).get("matmul", {}).get(str(dtype), {}).get("flop_per_s")
    return found


def layer_weights(shape: Architecture) -> int:
    """Weights of all layers that a token is multiplied with: attention and MLP, without norms.

    Per layer q and o (hidden × heads·dim), k and v (hidden × kv_heads·dim), gate, up and down (hidden × width).
    """
    attention = 2 * shape.hidden_size * shape.head_dim * (shape.num_heads + shape.num_kv_heads)
    return shape.num_layers * (attention + 3 * shape.hidden_size * shape.intermediate_size)


def head_weights(shape: Architecture) -> int:
    """Weights of the LM head."""
    return shape.vocab_size * shape.hidden_size


def scoring_floor(model: Architecture, shape: Shape, tokens: int) -> Floor:
    """Products of log-likelihoods: 2 · (tokens · layers + scored positions · LM head).

    Args:
        model: the model's shape.
        shape: the shape of the requests.
        tokens: the least number of tokens to forward.
    """
    return Floor(2.0 * (tokens * layer_weights(model) + scored_positions(shape, tokens) * head_weights(model)))


def scored_positions(shape: Shape, tokens: int) -> int:
    """Positions whose logits are needed at least.

    All of a rolling text; else one per document and, for each answer, one per token but the last.
    """
    if shape.method == "loglikelihood_rolling":
        return tokens
    return shape.families * shape.documents * (1 + shape.answers * (shape.length - 1))


def step_floor(model: Architecture, rows: int, cached_tokens: float, dtype: DType) -> Floor:
    """One step of decoding: each row's products with all weights; all weights and the cache read once.

    Args:
        model: the model's shape.
        rows: rows of the batch.
        cached_tokens: tokens whose keys and values are read, a shared beginning counted once.
        dtype: of weights and cache.
    """
    weights = layer_weights(model) + head_weights(model)
    cache = 2 * model.num_layers * model.num_kv_heads * model.head_dim * cached_tokens
    return Floor(2.0 * rows * weights, (weights + cache) * dtype.bytes)
