"""Commands in a process of their own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glu_lib.nano import MODEL_DIR, TASKS_DIR

NANO = Path(__file__).resolve().parents[2] / "results/measured/nano"


def test_the_lm_eval_command_knows_the_suites_scorer(tmp_path):
    command = [sys.executable, "-m", "glu_lib", "lm_eval", "run", "--model", "glu", "--tasks", "nano_facts,nano_sums"]
    command += ["--model_args", f"pretrained={MODEL_DIR}", "--include_path", str(TASKS_DIR), "--limit", "4"]
    command += ["--device", "cpu", "--output_path", str(tmp_path), "--batch_size", "auto"]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = tmp_path.rglob("results*.json")
    found = json.loads(path.read_text())
    assert found["config"]["model"] == "glu"
    assert found["results"]["nano_facts"]["acc,none"] == 1.0
    assert found["results"]["nano_sums"]["exact_match,none"] == 1.0


READER_GONE = """
import os, sys
from glu_lib.frontends.cli.entry import main
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "command", [["table", "--published", "x"], ["list", str(NANO)], ["compare", str(NANO)]], ids=lambda words: words[0]
)
def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path, command):
    """As `glu table results | head -1` when head has read its line."""
    ended = subprocess.run(
        [sys.executable, "-c", READER_GONE, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": ""},  # as users have it: the pipe is met when all is written
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")
