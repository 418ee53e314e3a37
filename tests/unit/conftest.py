"""Unit tests stay fast: they start no process, use no network, and neither load nor build a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import codecarbon.external.ram  # noqa: F401  (asks the system for GPUs when it is imported)
import pytest

from glu_lib.nano import MODEL_DIR

PROCESS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo")


class Guard:
    """Looks on while a unit test runs; a hook cannot be taken back, so that there is one for all tests."""

    def __init__(self) -> None:
        self.is_active, self.seen = False, []  # type: bool, list[str]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_active:
            return
        if event in PROCESS:
            self.refuse(f"a unit test starts no process ({event} {arguments[:1]})")
        elif event in NETWORK:
            self.refuse("a unit test uses no network")
        elif event == "open" and str(arguments[0]).endswith(".safetensors") and MODEL_DIR in Path(arguments[0]).parents:
            self.refuse("a unit test reads no weights")

    def refuse(self, what: str) -> None:
        """Fails the test here, and at its end where the code under test takes the error for another."""
        self.seen.append(what)
        raise RuntimeError(f"{what}: move it to tests/component or tests/system")


_guard = Guard()
sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """On during the test alone: workers of pytest-xdist talk with their controller before and after."""
    if modeling := sys.modules.get("transformers.modeling_utils"):
        monkeypatch.setattr(modeling.PreTrainedModel, "__init__", _build)
    _guard.seen.clear()
    _guard.is_active = True
    yield _guard
    _guard.is_active = False
    assert not _guard.seen, f"{_guard.seen[0]}: move it to tests/component or tests/system"


def _build(*_arguments: Any, **_options: Any) -> None:
    _guard.refuse("a unit test builds no network")
