"""Costs by arithmetic: the published sizes of known models, and the work that torch counts."""

import pytest

from glu_lib.study import STUDY
from glu_lib.study.architecture import pruned_width
from glu_lib.study.costs import CONTEXT_TOKENS, AttentionShape, costs, dtype_bytes
from glu_lib.study.settings import DType


def of(key, percent=0, dtype="bfloat16"):
    shape = STUDY.models[key].architecture
    widths = [pruned_width(shape.intermediate_size, percent)] * shape.num_layers
    return shape, widths, costs(AttentionShape.of(shape), shape.hidden_size, widths, dtype)


@pytest.mark.parametrize("key", ["llama1b", "llama3b", "smol135m", "nano"])
def test_the_matrix_products_of_tied_models_are_their_parameters_without_norms(key):
    shape, widths, found = of(key, 40)
    norms = (2 * shape.num_layers + 1) * shape.hidden_size
    per_key = 2 * shape.num_layers * shape.num_heads * shape.head_dim
    assert found.decode_macs_per_token == shape.parameters(widths) - norms + per_key * CONTEXT_TOKENS
    assert found.prefill_macs_per_token == shape.parameters(widths) - norms + per_key * (CONTEXT_TOKENS + 1) // 2


def test_the_cache_of_llama_1b_has_its_known_size():
    """16 layers × 8 heads × 64 × 2 (keys and values) × 2 bytes: 32 KiB per token; pruning leaves it alone."""
    assert of("llama1b")[2].kv_cache_bytes_per_token == of("llama1b", 60)[2].kv_cache_bytes_per_token == 32 * 1024
    assert of("llama1b", dtype="float32")[2].kv_cache_bytes_per_token == 64 * 1024


def test_an_unknown_dtype_has_no_bytes():
    assert dtype_bytes("int3") is None
    assert of("nano", dtype="int3")[2].kv_cache_bytes_per_token is None
    assert [dtype_bytes(dtype) for dtype in DType] == [4, 2, 2]
