from pathlib import Path

import pytest

from glu_lib.cases import Pruning
from glu_lib.memory import free_bytes, peak_memory
from glu_lib.pruning import prune

needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc"
)


@needs_linux
def test_the_peak_is_that_of_the_block_not_of_the_process():
    size = 120_000_000

    def touch():
        block = bytearray(size)
        block[::4096] = b"1" * len(block[::4096])

    touch()
    with peak_memory("cpu") as quiet:
        pass
    with peak_memory("cpu") as busy:
        touch()
    assert quiet.peak_bytes - quiet.before_bytes < size / 4
    assert busy.peak_bytes - busy.before_bytes > size * 0.9
    assert (busy.source, busy.reason) == ("resident set", None)


def test_where_the_system_does_not_tell_it_is_null_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("glu_lib.memory._CLEAR", tmp_path / "no" / "such")
    with peak_memory("cpu") as found:
        pass
    assert found.peak_bytes is None
    assert found.reason.startswith("this system does not tell a process's peak memory")


@needs_linux
def test_pruning_holds_no_second_copy_of_the_model():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    layers, hidden, width = 8, 256, 8192
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        vocab_size=32,
    )
    model = LlamaForCausalLM(config)
    layer_bytes = 3 * hidden * width * 4
    with peak_memory("cpu") as found:
        prune(model, Pruning(10), seed=0)
    # A second copy would be 8 layers; 3 leave room for the new layer, its float32 scores and the allocator.
    assert found.peak_bytes - found.before_bytes < 3 * layer_bytes


def test_free_memory_is_a_positive_number_of_bytes():
    assert free_bytes("cpu") > 1 << 20
