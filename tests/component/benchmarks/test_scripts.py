"""The measuring scripts that no job of CI runs, each on something tiny: they work, and what they write is sound."""

import json
import sys
from pathlib import Path

import against_lm_eval
import decode_attention
import decode_shares
import decode_step
import long_window
import measured_rates
import pytest
import test_consolidation
import torch
from tiny_families import tiny

from glu_lib.nano.paths import TASKS_DIR

MEASURED = Path(__file__).resolve().parents[3] / "results/measured"


@pytest.fixture(autouse=True)
def small_rates(monkeypatch):
    """Matrices and copies of a thousandth of the size."""
    monkeypatch.setattr(measured_rates, "_SIZE", 64)
    monkeypatch.setattr(measured_rates, "_COPIED_BYTES", 1 << 16)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(tmp_path):
    """The folder of a model."""
    tiny("Llama").save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def written(monkeypatch, tmp_path, script, *arguments):
    """What a script writes as JSON."""
    output = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", [script.__name__, *arguments, "--output", str(output)])
    script.main()
    return json.loads(output.read_text())


def test_rates_are_finite_and_positive():
    assert 1e6 < measured_rates.product_flops(torch.float32, rounds=2) < 1e15
    assert 1e6 < measured_rates.copy_bytes_per_s(rounds=2) < 1e13


def test_the_fastest_round_counts_after_one_to_warm_up():
    calls = []
    found = measured_rates.fastest_s({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert found.keys() == {"a", "b"}
    measured_rates.fastest_s({"c": lambda: calls.append("c")}, rounds=1, warm=False)
    assert calls[6:] == ["c"]


def test_decode_step(monkeypatch, tmp_path, model):
    found = written(monkeypatch, tmp_path, decode_step, "--model", model, "--cases", "3:12:0,3:40:32", "--rounds", "1")
    assert found["model"] == "tiny"
    assert [(line["cached"], line["attention"]) for line in found["steps"]] == [
        (cached, attention) for cached in (12, 40) for attention in ("glu_shared", "plain")
    ]
    assert all(0 < line["step_s"] < 60 and line["times_floor"] > 0 for line in found["steps"])
    assert all(line["largest_logit_difference"] < 1e-4 for line in found["steps"])
    shared, plain = (line["cache_bytes"] for line in found["steps"][2:])
    assert shared < plain / 2


def test_decode_shares(monkeypatch, tmp_path, model):
    found = written(monkeypatch, tmp_path, decode_shares, "--model", model, "--cases", "3:12:0,3:40:32", "--steps", "2")
    for line in found["steps_profiled"]:
        assert sum(line["shares"].values()) == pytest.approx(1)
        assert all(0 < share < 1 for name, share in line["shares"].items() if line["shared"] or name != "softmax")


def test_decode_attention(monkeypatch, tmp_path):
    sizes = ["--rows", "3", "--heads", "4", "--kv-heads", "2", "--head-size", "8", "--cached", "20", "--shared", "12"]
    found = written(monkeypatch, tmp_path, decode_attention, *sizes, "--rounds", "1")
    assert list(found["variants"]) == ["repeated keys and values", "enable_gqa", "glu_shared", "glu_shared, 12 shared"]
    assert all(line["ms"] > 0 and line["largest_difference"] < 1e-5 for line in found["variants"].values())


def test_long_window(monkeypatch, tmp_path, model):
    found = written(monkeypatch, tmp_path, long_window, "--model", model, "--tokens", "100", "--pieces", "40", "16")
    assert [line["piece_tokens"] for line in found["windows"]] == [100, 40, 16]
    whole, *parts = (line["logprob"] for line in found["windows"])
    assert parts == pytest.approx([whole] * 2, abs=1e-3)


def test_consolidation_cases(monkeypatch, tmp_path):
    """`pytest -m speed` with ten thousand records: here with a few."""

    class Once:
        """Stands in for pytest-benchmark's fixture."""

        def pedantic(self, work, *, rounds):
            assert rounds == 3
            return work()

    monkeypatch.setattr(test_consolidation, "RECORDS", 40)
    folder = test_consolidation.write_records(tmp_path, 40)
    test_consolidation.test_consolidation(Once(), folder)
    assert (folder / "results.csv").is_file()
    test_consolidation.test_conclusions(Once(), folder)


def test_records_stand_against_lm_evals_own_command(monkeypatch, tmp_path):
    """The committed records of nano, pruned by 40 %, item by item."""
    nano = MEASURED / "nano"
    where = ["--model", "nano", "--levels", "40", "--items", "3", "--results-dir", str(nano)]
    where += ["--tasks", "facts,sums,narrative"]
    found = written(monkeypatch, tmp_path, against_lm_eval, *where, "--include-path", str(TASKS_DIR))["found"]
    assert [line["task"] for line in found] == ["facts", "narrative", "sums"]
    for line in found:
        assert line["items"] == line["prompts_equal"] == 3
        assert line["metrics_differ"] == 0
        assert line["texts_equal"] in (None, 3)
        assert line["largest_difference"] is None or line["largest_difference"] < 1e-3
