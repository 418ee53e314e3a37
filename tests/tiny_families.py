"""Tiny models with random weights of many families."""

from typing import Any

import torch
import transformers

VOCABULARY = 99
SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
FAMILIES: dict[str, dict[str, int]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 16},
    "Mistral": {},
    "Gemma": {"head_dim": 16, "num_key_value_heads": 1},
    "Phi3": {"num_key_value_heads": 4},
    "GPTNeoX": {},
    "Olmo2": {},
    "SmolLM3": {},
    "Mixtral": {},
}


def tiny(family: str, **changes: Any) -> Any:
    """A model of `family`; `changes` replace fields of its configuration."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SIZE | FAMILIES.get(family, {}) | changes)
    return getattr(transformers, f"{family}ForCausalLM")(config).eval()
