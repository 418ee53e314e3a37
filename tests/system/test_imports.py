"""What an import brings along, seen in a fresh interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "pytest", "altair", "vl_convert", "jinja2", "pandas"}


@pytest.mark.parametrize("name", ["glu_lib", "glu_lib.nano", "glu_lib.report"])
def test_importing_it_loads_no_torch_and_no_drawing_library(name):
    code = f"import sys, {name}; print(sorted({HEAVY} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_collecting_loads_no_analysis_and_no_report(tmp_path):
    """Without the plugins of a developer's environment; hypothesis alone takes longer than collecting."""
    probe = tmp_path / "what_is_loaded.py"
    probe.write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        f"    loaded = {HEAVY - {'pytest'} | {'statsmodels', 'scipy', 'glu_lib.analysis', 'glu_lib.report'}}\n"
        "    print(len(session.items), 'collected; loaded:', sorted(loaded & set(sys.modules)))\n"
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "paper", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-p", "no:hypothesispytest", "-p", probe.stem, "--results-dir", str(tmp_path / "results")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in result.stdout.splitlines() if "collected; loaded:" in line)
    count, _, loaded = line.partition(" collected; loaded: ")
    assert int(count) > 400
    assert loaded == "[]"
