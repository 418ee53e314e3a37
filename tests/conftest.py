"""Fixtures shared by all tests: tiny models and a place to write to."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from glu_lib.results.collapse import LIMIT, as_recorded, exp
from glu_lib.study.settings import Settings

NANO = Path(__file__).parents[1] / "results/measured/nano"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test has the marker of its folder. Runs of the benchmarks load this file as well: they have none."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(item.path.relative_to(Path(__file__).parent).parts[0])


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


@pytest.fixture
def collapsed(tmp_path: Path) -> Callable[..., Path]:
    """Makes a results folder of the embedded model's committed records, the narrative's perplexity changed.

    Levels are named with the perplexity's natural logarithm, or "measured", or None: infinite, by one text of
    probability 0. `is_legacy`: as records of early versions hold it, as a number.
    """

    def make(*, is_legacy: bool = False, **levels: float | str | None) -> Path:
        for level, log_value in levels.items():
            for folder, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
                (tmp_path / folder / "nano" / level).mkdir(parents=True)
                for task in ("facts", "sums", "lastword", "narrative"):
                    name = f"nano/{level}/nano-{level}-{task}.{ending}"
                    shutil.copy(NANO / folder / name, tmp_path / folder / name)
            if not isinstance(log_value, str):
                _collapse(tmp_path, f"nano/{level}/nano-{level}-narrative", log_value, is_legacy)
        return tmp_path

    return make


def _collapse(root: Path, name: str, log_value: float | None, is_legacy: bool) -> None:
    path, samples_path = root / f"individual_files/{name}.json", root / f"samples/{name}.jsonl.gz"
    samples = [json.loads(line) for line in gzip.decompress(samples_path.read_bytes()).decode().splitlines()]
    pairs = [sample["word_perplexity"] for sample in samples]
    now = -sum(likelihood for likelihood, _ in pairs) / sum(words for _, words in pairs)
    for pair in pairs:
        pair[0] *= 1 if log_value is None else log_value / now
    if log_value is None:
        pairs[0][0] = "-inf"
    samples_path.write_bytes(gzip.compress("\n".join(map(json.dumps, samples)).encode()))
    value = math.inf if log_value is None else exp(log_value)
    fields = as_recorded(value, None, is_collapsed=value > LIMIT)
    record = json.loads(path.read_text())
    del record["sha256"], record["samples"]["sha256"]
    for place in (record["score"]["headline"], record["score"]["metrics"][0]):
        place |= {"value": value} if is_legacy else fields
        if is_legacy:
            del place["is_collapsed"], place["log_value"]
    path.write_text(json.dumps(record, allow_nan=False))
