"""Fixtures shared by all tests: tiny models and a place to write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glu_lib.settings import Settings


# A fixture, not code of this module: pytest loads tests/conftest.py for runs of the benchmarks as well.
@pytest.fixture(scope="session", autouse=True)
def alone() -> None:
    """These tests may run in workers of pytest-xdist; what they test then does not."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        del os.environ[name]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        results_dir=tmp_path / "results", limit=4, threads=1, min_window_s=0.01, idle_s=0, allow_shared=True
    )


@pytest.fixture
def tiny_llama():
    """A random Llama: hidden 16, width 40 (no multiple of 32), 2 layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=32,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config).eval()
