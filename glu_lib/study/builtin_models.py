"""The model variants of the built-in study, with their shapes and pruning levels."""

from __future__ import annotations

from glu_lib.study.architecture import Architecture
from glu_lib.study.variants import ModelVariant, VariantKind

LEVELS = (0, 10, 20, 30, 40, 50, 60)

_LLAMA3_ROPE: tuple[tuple[str, float | str], ...] = (
    ("rope_type", "llama3"),
    ("factor", 32.0),
    ("low_freq_factor", 1.0),
    ("high_freq_factor", 4.0),
    ("original_max_position_embeddings", 8192),
)

# Shapes from config.json of meta-llama/Llama-3.2-1B and -3B. The instruct variants have the same shapes.
LLAMA_1B = Architecture(
    hidden_size=2048,
    intermediate_size=8192,
    num_layers=16,
    num_heads=32,
    num_kv_heads=8,
    head_dim=64,
    vocab_size=128256,
    tied_embeddings=True,
    max_positions=131072,
    rope_theta=500000.0,
    rope_scaling=_LLAMA3_ROPE,
)
LLAMA_3B = Architecture(
    hidden_size=3072,
    intermediate_size=8192,
    num_layers=28,
    num_heads=24,
    num_kv_heads=8,
    head_dim=128,
    vocab_size=128256,
    tied_embeddings=True,
    max_positions=131072,
    rope_theta=500000.0,
    rope_scaling=_LLAMA3_ROPE,
)
# Shapes from config.json of HuggingFaceTB/SmolLM2-135M, -360M and -1.7B. The instruct variants have the same shapes.
SMOLLM2_135M = Architecture(
    hidden_size=576,
    intermediate_size=1536,
    num_layers=30,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    vocab_size=49152,
    tied_embeddings=True,
    max_positions=8192,
    rope_theta=100000.0,
)
SMOLLM2_360M = Architecture(
    hidden_size=960,
    intermediate_size=2560,
    num_layers=32,
    num_heads=15,
    num_kv_heads=5,
    head_dim=64,
    vocab_size=49152,
    tied_embeddings=True,
    max_positions=8192,
    rope_theta=100000.0,
)
SMOLLM2_1700M = Architecture(
    hidden_size=2048,
    intermediate_size=8192,
    num_layers=24,
    num_heads=32,
    num_kv_heads=32,
    head_dim=64,
    vocab_size=49152,
    tied_embeddings=True,
    max_positions=8192,
    rope_theta=130000.0,
)
NANO = Architecture(
    hidden_size=128,
    intermediate_size=512,
    num_layers=4,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    vocab_size=552,
    tied_embeddings=True,
    max_positions=256,
    rope_theta=10000.0,
)

MODELS = (
    ModelVariant("nano", "embedded", VariantKind.BASE, LEVELS, architecture=NANO),
    ModelVariant("llama1b", "meta-llama/Llama-3.2-1B", VariantKind.BASE, LEVELS, architecture=LLAMA_1B),
    ModelVariant("llama3b", "meta-llama/Llama-3.2-3B", VariantKind.BASE, LEVELS, architecture=LLAMA_3B),
    ModelVariant("instruct1b", "meta-llama/Llama-3.2-1B-Instruct", VariantKind.INSTRUCT, LEVELS, architecture=LLAMA_1B),
    ModelVariant("instruct3b", "meta-llama/Llama-3.2-3B-Instruct", VariantKind.INSTRUCT, LEVELS, architecture=LLAMA_3B),
    *(
        ModelVariant(f"smol{prefix}{size}", f"HuggingFaceTB/SmolLM2-{name}{suffix}", kind, LEVELS, architecture=shape)
        for size, name, shape in (
            ("135m", "135M", SMOLLM2_135M),
            ("360m", "360M", SMOLLM2_360M),
            ("1700m", "1.7B", SMOLLM2_1700M),
        )
        for prefix, suffix, kind in (("", "", VariantKind.BASE), ("instruct", "-Instruct", VariantKind.INSTRUCT))
    ),
)
BASE = tuple(model.key for model in MODELS if model.kind is VariantKind.BASE and not model.is_embedded)
INSTRUCT = tuple(model.key for model in MODELS if model.kind is VariantKind.INSTRUCT)
