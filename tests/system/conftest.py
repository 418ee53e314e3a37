"""A copy of the suite's entry points in a folder of its own, driven through pytester."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases

ROOT = Path(__file__).resolve().parents[2]
_OF_THE_SUITE_ITSELF = 14  # benchmarks of speed and scoring beside the study's cases


@pytest.fixture(scope="session")
def all_items() -> int:
    """How many items pytest collects in benchmarks/."""
    return len(build_cases(STUDY)) + _OF_THE_SUITE_ITSELF


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest.ini, conftest.py and benchmarks/ in a fresh folder; the library is the installed one."""
    for name in ("pytest.ini", "conftest.py"):
        shutil.copy(ROOT / name, pytester.path / name)
    shutil.copytree(ROOT / "benchmarks", pytester.path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there: no network in tests
    monkeypatch.setenv("HF_HOME", str(pytester.path / "hub"))
    for name in ("GLU_RESULTS_DIR", "CI", "BUILD_NUMBER"):  # on CI pytest repeats whole messages in its summary
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return pytester
