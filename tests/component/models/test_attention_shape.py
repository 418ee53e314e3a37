"""The attention shape that records hold gives the work that torch counts in a forward pass."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

from glu_lib.models.pruning import prune
from glu_lib.models.shapes import attention_shape, build_on_meta
from glu_lib.study import STUDY
from glu_lib.study.costs import CONTEXT_TOKENS, AttentionShape, costs
from glu_lib.study.pruning import Pruning

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 64,
}


def built(config, **changes):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config(**SIZES | changes), attn_implementation="eager").eval()


@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config, Qwen3Config])
@pytest.mark.parametrize("percent", [0, 40])
def test_macs_are_those_that_torch_counts(config, percent):
    """torch counts attention to all keys, causal or not: n keys for each of n tokens."""
    model, tokens = built(config), 7
    pruned = prune(model, Pruning(percent))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(tokens)[None])
    shape = attention_shape(model)
    assert shape == AttentionShape(4, 2, 8, 64) == pruned.attention
    decode = costs(shape, 16, pruned.widths, "float32").decode_macs_per_token
    per_key = 2 * 3 * shape.num_heads * shape.head_dim
    assert counter.get_total_flops() == 2 * tokens * (decode - per_key * CONTEXT_TOKENS + per_key * tokens)


def test_a_declared_model_has_its_declared_shape():
    shape = STUDY.models["nano"].architecture
    assert attention_shape(build_on_meta(shape)) == AttentionShape.of(shape)


def test_layers_that_attend_to_fewer_keys_or_differ_have_none():
    assert attention_shape(built(Gemma3TextConfig, sliding_window=512)) is None
    assert attention_shape(built(Gemma3TextConfig, sliding_window=CONTEXT_TOKENS)) is not None
    unlike = built(LlamaConfig)
    unlike.model.layers[1].self_attn.v_proj = torch.nn.Linear(16, 8)
    assert attention_shape(unlike) is None
    fused = built(LlamaConfig)
    del fused.model.layers[0].self_attn.q_proj
    assert attention_shape(fused) is None
