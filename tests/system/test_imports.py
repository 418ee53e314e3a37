"""What an import brings along, seen in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "pytest", "altair", "vl_convert", "jinja2", "pandas"}


@pytest.mark.parametrize("name", ["glu_lib", "glu_lib.nano", "glu_lib.report"])
def test_importing_it_loads_no_torch_and_no_drawing_library(name):
    code = f"import sys, {name}; print(sorted({HEAVY} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
