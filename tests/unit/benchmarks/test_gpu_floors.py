import pytest
from gpu_parts.floors import Floor, head_weights, layer_weights, scored_positions, scoring_floor, step_floor
from gpu_parts.plan import MMLU, SCORED

from glu_lib.study.builtin_models import LLAMA_1B, LLAMA_3B
from glu_lib.study.settings import DType

RATES = {"matmul": {"bfloat16": {"flop_per_s": 1e12}}, "copy_bytes_per_s": 1e9}


@pytest.mark.parametrize("shape", [LLAMA_1B, LLAMA_3B])
def test_weights_are_the_parameters_without_norms(shape):
    norms = (2 * shape.num_layers + 1) * shape.hidden_size
    assert layer_weights(shape) + head_weights(shape) + norms == shape.parameters()  # the LM head is the embedding


def test_positions_whose_logits_are_needed():
    found = {shape.name: scored_positions(shape, 12_000) for shape in SCORED}
    assert found == {
        "hellaswag": 40 * (1 + 4 * 24),  # the context's last token, and each answer's tokens but its last
        "mmlu_5shot": 48,
        "boolq": 40,
        "lambada": 64,
        "wikitext": 12_000,
    }


def test_scoring_needs_the_layers_for_each_token_and_the_head_where_it_is_scored():
    floor = scoring_floor(LLAMA_1B, MMLU, 1000)
    assert floor.flop == 2 * (1000 * layer_weights(LLAMA_1B) + 48 * 2048 * 128256)


def test_a_step_reads_weights_and_cache_once():
    floor = step_floor(LLAMA_1B, rows=32, cached_tokens=500, dtype=DType.BFLOAT16)
    weights = layer_weights(LLAMA_1B) + head_weights(LLAMA_1B)
    assert floor.flop == 2 * 32 * weights
    assert floor.read_bytes == 2 * (weights + 500 * 16 * 2 * 8 * 64)  # layers, keys and values, heads, width


@pytest.mark.parametrize(("flop", "read_bytes", "seconds"), [(3e12, 1e9, 3.0), (1e12, 5e9, 5.0)])
def test_the_least_time_is_the_longer_of_both(flop, read_bytes, seconds):
    assert Floor(flop, read_bytes).seconds(RATES, DType.BFLOAT16) == seconds


def test_without_a_rate_there_is_no_least_time():
    assert Floor(1.0).seconds(None, DType.BFLOAT16) is None
    assert Floor(1.0).seconds(RATES, DType.FLOAT32) is None
    assert Floor(1.0).seconds({"matmul": {"bfloat16": {"flop_per_s": None}}}, DType.BFLOAT16) is None
