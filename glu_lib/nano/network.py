"""The network of the embedded model: a small Llama with the expansion ratio of Llama-3.2-1B."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN_SIZE = 128
INTERMEDIATE_SIZE = 512
LAYER_COUNT = 4
MAX_POSITIONS = 256
# With the usual value of 0.02, a network of this width had not learned to copy words after ten million tokens.
INITIALIZER_RANGE = 0.08


def network_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Return the Llama configuration for a tokenizer's vocabulary (SwiGLU, GQA, tied embeddings)."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=INTERMEDIATE_SIZE,
        num_hidden_layers=LAYER_COUNT,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def new_network(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return an untrained float32 network; sets torch's random state to `seed`."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(network_config(tokenizer))
