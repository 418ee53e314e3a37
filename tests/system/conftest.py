"""A copy of the suite's entry points in a folder of its own, driven through pytester."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from local_hub import HUB, ROOT, SERVER
from warm import Forked, Server, read_at_import, restored_signals

from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases
from glu_lib.study.settings import Scorer

# Plugins that happen to be installed: a second of imports in each run.
NOT_NEEDED = "-p no:hypothesispytest -p no:anyio -p no:platformdirs -p no:cov -p no:timeout"


@pytest.fixture(scope="session")
def all_items() -> int:
    """How many items pytest collects in benchmarks/."""
    from glu_lib.measure.scoring.made_up_requests import SHAPES

    of_the_suite_itself = len(SHAPES) * len(Scorer) + 2  # scoring; consolidation and conclusions
    return len(build_cases(STUDY)) + of_the_suite_itself


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Where runs are forked from. All of them share one empty cache of the hub, and no hub answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there: no network in tests
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        return Server()


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, warm: Server) -> Iterator[pytest.Pytester]:
    """pytest.ini, conftest.py and benchmarks/ in a fresh folder; the library is the installed one.

    What a failed test leaves running is killed: stopped or waiting, it would hold up the end of the tests.
    """
    for name in ("pytest.ini", "conftest.py"):
        shutil.copy(ROOT / name, pytester.path / name)
    shutil.copytree(ROOT / "benchmarks", pytester.path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in read_at_import(os.environ).keys() - warm.environment.keys():  # left by code that ran in this process
        monkeypatch.delenv(name)
    for name, value in warm.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("GLU_RESULTS_DIR", "CI", "BUILD_NUMBER"):  # on CI pytest repeats whole messages in its summary
        monkeypatch.delenv(name, raising=False)
    path = [str(ROOT), str(ROOT / "tests/plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("PYTEST_ADDOPTS", NOT_NEEDED)

    started: list[Forked | subprocess.Popen[str]] = []

    def popen(
        command: Sequence[str],
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        stdin: Any = pytester.CLOSE_STDIN,
        *,
        env: dict[str, str] | None = None,
        on_terminal: bool = False,
    ) -> Forked | subprocess.Popen[str]:
        """As Pytester.popen, but forked where that makes no difference."""
        environment = os.environ | (env or {})
        stdin = subprocess.DEVNULL if stdin is pytester.CLOSE_STDIN else stdin
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        if warm.can_fork(command, environment):
            started.append(
                Forked(warm, command, cwd=pytester.path, env=environment, on_terminal=on_terminal, **streams)
            )
            return started[-1]

        assert not on_terminal  # only forked runs have one
        with restored_signals():
            started.append(subprocess.Popen(command, cwd=pytester.path, env=environment, text=True, **streams))
        return started[-1]

    monkeypatch.setattr(pytester, "popen", popen)
    yield pytester
    for process in started:
        process.kill()


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start the local hub with some options; its address stands in HF_ENDPOINT, downloads go to a fresh cache."""
    running = []

    def start(*options, root=HUB):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, str(SERVER), str(root), "--port", str(port), *options]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline_s = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline_s, "the hub did not start"
                time.sleep(0.05)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")

    for name, value in {
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
        "NLTK_DATA": str(HUB / "nltk_data"),
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield start
    for process in running:
        process.terminate()
        process.wait()
