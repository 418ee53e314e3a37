import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glu_lib.machine.memory import free_bytes, peak_memory, usable_bytes

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


def test_the_peak_of_a_macs_gpu_is_null_with_the_reason():
    with peak_memory("mps") as found:
        pass
    assert (found.peak_bytes, found.reason) == (None, "torch does not tell the peak memory of this GPU")


def test_where_the_system_does_not_tell_it_is_null_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("glu_lib.machine.memory._CLEAR", tmp_path / "no" / "such")
    with peak_memory("cpu") as found:
        pass
    assert found.peak_bytes is None
    assert found.reason.startswith("this system does not tell a process's peak memory")


_PRUNE = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from glu_lib.study.pruning import Pruning
from glu_lib.machine.memory import peak_memory
from glu_lib.models.pruning import prune

torch.manual_seed(0)
config = LlamaConfig(hidden_size=256, intermediate_size=8192, num_hidden_layers=8, num_attention_heads=2, vocab_size=32)
model = LlamaForCausalLM(config)
with peak_memory("cpu") as warm:
    prune(LlamaForCausalLM(LlamaConfig(**{**config.to_dict(), "num_hidden_layers": 1})), Pruning(10))
with peak_memory("cpu") as found:
    prune(model, Pruning(10))
print((found.peak_bytes - found.before_bytes) / (3 * 256 * 8192 * 4))
"""


@needs_linux
def test_pruning_holds_no_second_copy_of_the_model():
    """In a process of its own, whose allocator hands freed tensors back at once: what it keeps would count as well."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    answer = subprocess.run([sys.executable, "-c", _PRUNE], check=True, capture_output=True, text=True, env=environment)
    # In layers' MLPs: the new layer at 90 % of its width, and its scores. A second copy of the model would be 8.
    assert float(answer.stdout) < 2


def test_free_memory_is_a_positive_number_of_bytes():
    assert free_bytes("cpu") > 1 << 20


def test_what_the_gpus_allocator_holds_unused_is_usable(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 500)
    assert (free_bytes("cuda:0"), usable_bytes("cuda:0")) == (1000, 1200)
    assert usable_bytes("cpu") > 1 << 20
