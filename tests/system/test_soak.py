"""The soak in small: its thousand cases take minutes (`python benchmarks/soak.py`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_many_short_cases_under_random_kills_end_with_each_record_once(tmp_path):
    command = [
        sys.executable,
        "benchmarks/soak.py",
        "--levels",
        "3",
        "--kills",
        "3",
        "--limit",
        "1",
        "--give-up-s",
        "480",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert found["cases"] == found["records"] == found["equal"] == 60
    assert found["left_behind"] == []
    assert sum(found["signals"].values()) == 3
