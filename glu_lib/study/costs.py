"""What a level costs, as arithmetic on its shape: multiply-accumulates per token, bytes of weights and of cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType

CONTEXT_TOKENS = 2048  # tokens of the prompt that is read, and keys that a decoded token attends to


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What decides a decoder's costs beside its MLPs: heads of queries and of keys, their size, rows of the LM head."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int

    @classmethod
    def of(cls, declared: Architecture) -> AttentionShape:
        """The attention shape of a declared architecture."""
        return cls(declared.num_heads, declared.num_kv_heads, declared.head_dim, declared.vocab_size)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one level: multiply-accumulates (MACs) per token, and bytes of keys and values that each token adds."""

    prefill_macs_per_token: int
    decode_macs_per_token: int
    kv_cache_bytes_per_token: int | None


def costs(shape: AttentionShape, hidden_size: int, widths: Sequence[int], dtype: str) -> Costs:
    """The costs of a decoder whose MLPs have these `widths`, one per layer.

    One multiply-accumulate (MAC) is two floating-point operations. A token takes part in every matrix product once:
    Σ over layers of 2·hidden·head_dim·(heads + kv_heads) + 3·hidden·width, and hidden·vocabulary for the LM head. Its
    attention takes 2·heads·head_dim per layer and key (scores, and the weighted sum of values). Norms, rotary
    embeddings, softmax and activations are not counted. Formula: Kaplan et al., Scaling Laws for Neural Language
    Models (arXiv:2001.08361), table 1, with grouped queries, a gated MLP, and each causal key counted.

    Prefill: mean over a prompt of `CONTEXT_TOKENS` tokens, each of which attends to itself and to all before it, the LM
    head at every position. Decode: one token that attends to `CONTEXT_TOKENS` keys, its own included. Keys and values:
    2·kv_heads·head_dim per layer, in the dtype of the weights; None for a dtype that this version does not know.
    """
    layers, size = len(widths), shape.head_dim
    attention = 2 * hidden_size * size * (shape.num_heads + shape.num_kv_heads)
    products = layers * attention + 3 * hidden_size * sum(widths) + hidden_size * shape.vocab_size
    per_key = 2 * layers * shape.num_heads * size
    one_value_bytes = dtype_bytes(dtype)
    return Costs(
        prefill_macs_per_token=products + per_key * (CONTEXT_TOKENS + 1) // 2,
        decode_macs_per_token=products + per_key * CONTEXT_TOKENS,
        kv_cache_bytes_per_token=None
        if one_value_bytes is None
        else 2 * layers * shape.num_kv_heads * size * one_value_bytes,
    )


def dtype_bytes(dtype: str) -> int | None:
    """Bytes of one number of a dtype by its name; None for a dtype that this version does not know."""
    return DType(dtype).bytes if dtype in list(DType) else None
