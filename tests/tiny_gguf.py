"""A tiny Llama as a GGUF file, written with the package `gguf`: for tests, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] }}{% endfor %}"
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tokens() -> list[str]:
    """Three special tokens, the 256 characters of byte-level BPE, and two merged ones."""
    from tokenizers.pre_tokenizers import ByteLevel

    return ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "th", "Ġth"]


def tiny_model() -> LlamaForCausalLM:
    """A random Llama: hidden 64, width 96, 2 layers, tied embeddings, byte-level vocabulary."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=len(tokens()),
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config)
    model.eval()
    return model


def write_gguf(
    path: Path, *, quantized: bool = True, template: str | None = TEMPLATE, more: Mapping[str, Any] | None = None
) -> LlamaForCausalLM:
    """Write `tiny_model` as a GGUF file and return it with the values that the file holds.

    Args:
        path: the file; its folder is created.
        quantized: store the matrices as Q4_1 instead of F32.
        template: chat template; None for none.
        more: further tensors by name (arrays), and text fields by name.
    """
    import gguf

    path.parent.mkdir(parents=True, exist_ok=True)
    model = tiny_model()
    config: Any = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens())
    writer.add_token_types([3] * 3 + [1] * (len(tokens()) - 3))
    writer.add_token_merges(["t h", "Ġ th"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    if template is not None:
        writer.add_chat_template(template)
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        if quantized and values.ndim > 1:
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_1)
            parameter.data = torch.from_numpy(gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q4_1))
            values = parameter.detach().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:  # llama.cpp's rotary embeddings pair neighbours, transformers' pair halves
                rows, columns = values.shape
                values = values.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        if quantized and values.ndim > 1:
            values = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_1)
            writer.add_tensor(_gguf_name(name), values, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
        else:
            writer.add_tensor(_gguf_name(name), values)
    for name, value in (more or {}).items():
        if isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _gguf_name(name: str) -> str:
    """llama.cpp's name of a parameter of transformers' Llama."""
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        part, suffix = rest.rsplit(".", 1)
        return f"blk.{layer}.{_NAMES[part]}.{suffix}"
    return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
