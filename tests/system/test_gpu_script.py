"""The script for a GPU as a command: it measures, goes on, and refuses with one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/gpu.py", "--tiny", "--device", "cpu", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_it_measures_in_pieces_and_resumes(tmp_path):
    place = ("--output", str(tmp_path / "out"))
    first = run(*place, "--parts", "rates")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.startswith("rates: done after ")
    second = run(*place, "--parts", "rates,equal,vllm")
    assert second.returncode == 0, second.stdout + second.stderr
    lines = [line.split(" after ")[0] for line in second.stdout.splitlines()]
    assert lines[:-1] == [
        "equal-llama1b: done",
        *("vllm-llama1b-gsm8k_5shot: done", "vllm-llama1b-ifeval: done"),
    ]
    assert "4 of 4 parts" in lines[-1]
    third = run(*place, "--parts", "rates,equal,vllm")
    assert (third.returncode, len(third.stdout.splitlines())) == (0, 1)
    found = json.loads((tmp_path / "out/gpu.json").read_text())
    assert {part["status"] for part in found["parts"].values()} == {"done"}
    page = (tmp_path / "out/gpu.html").read_text()
    assert "A trial of the script on tiny shapes, on a processor" in page
    assert "vLLM: not installed" in page
    other = run(*place, "--dtype", "bfloat16")
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "holds records of dtype 'float32', this call is of 'bfloat16'; choose another --output" in other.stderr


def test_a_time_in_which_no_part_gets_anywhere_is_refused(tmp_path):
    result = run("--output", str(tmp_path / "out"), "--minutes", "0.01")
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr == "--minutes 0.01: no part fits; give at least 0.1\n"


def test_an_output_that_is_no_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    result = run("--output", str(tmp_path / "file"), "--tiny")
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr == f"{tmp_path / 'file'}: no folder can be made there (File exists); choose another --output\n"
