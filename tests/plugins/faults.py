"""What goes wrong is said by the environment, so that the same folder can be run with and without it."""

import errno
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path("results")
PATCH = pytest.MonkeyPatch()  # never undone: the process ends
PATIENCE_S = "glu_lib.run.session.PATIENCE_S"


def records() -> list[Path]:
    """All records, in order."""
    return sorted(RESULTS.glob("individual_files/*/*/*.json"))


def wait_for(name: str) -> None:
    """Until the test has made that file; a test that has failed never does."""
    deadline_s = time.monotonic() + 240
    while not Path(name).exists():
        assert time.monotonic() < deadline_s, name
        time.sleep(0.01)


def fill_disk(first: int, last: int) -> None:
    """The results folder's disk is full from the `first` write on it to the `last`."""
    sync, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        is_result = "results" in os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        count += is_result
        if is_result and first <= count < last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    PATCH.setattr(os, "fsync", fsync)


def slow_down_renames(seconds: float) -> None:
    """A record is written in full beside its place for so long."""
    rename = Path.replace

    def replace(path: Path, target: Any) -> Path:
        time.sleep(seconds)
        return rename(path, target)

    PATCH.setattr(Path, "replace", replace)


def slow_down_forward(seconds: float, log: str) -> None:
    """Each forward pass takes so much longer, and leaves a letter in a file."""
    from transformers import LlamaModel

    original = LlamaModel.forward

    def forward(model: Any, *arguments: Any, **options: Any) -> Any:
        time.sleep(seconds)
        result = original(model, *arguments, **options)
        with Path(log).open("a") as file:
            file.write("x")
        return result

    PATCH.setattr(LlamaModel, "forward", forward)


def be_host(name: str) -> None:
    """Two machines share a folder: a process of the other one cannot be looked up here."""
    PATCH.setattr(socket, "gethostname", lambda: name)
    PATCH.setattr("glu_lib.results.leases.LEASE_S", 3.0)
    PATCH.setattr("glu_lib.results.leases.PATIENCE_S", 30.0)
    PATCH.setattr(PATIENCE_S, 30.0)


def delay_tables() -> None:
    """Writing the tables takes as long as the test wants."""
    from glu_lib.analysis import write_tables

    def delayed(*arguments: Any) -> Any:
        Path("tables_begun").touch()
        wait_for("tables_may_end")
        return write_tables(*arguments)

    PATCH.setattr("glu_lib.frontends.pytest_plugin.tables.write_tables", delayed)


def show_the_first_signal() -> None:
    """The run has heard the first signal. Before that a second one would not count: the system merges them."""
    from glu_lib.frontends.pytest_plugin.interruption import Ending

    stop = Ending._stop

    def stopping(ending: Ending, name: str) -> None:
        Path("heard").touch()
        stop(ending, name)

    PATCH.setattr(Ending, "_stop", stopping)


if wanted := os.environ.get("FULL_BETWEEN"):
    fill_disk(*map(int, wanted.split(",")))
if wanted := os.environ.get("SLOW_RENAME_S"):
    slow_down_renames(float(wanted))
if wanted := os.environ.get("SLOW_FORWARD_S"):
    slow_down_forward(float(wanted), os.environ["PASSES"])
if wanted := os.environ.get("HOST"):
    be_host(wanted)
if wanted := os.environ.get("PATIENCE_S"):
    PATCH.setattr(PATIENCE_S, float(wanted))
if "TABLES_WAIT" in os.environ:
    delay_tables()
    show_the_first_signal()


def pytest_runtest_call(item: pytest.Item) -> None:
    """A crash of the interpreter, or a long case which has much to clear up when it is stopped."""
    if os.environ.get("CRASH_IN", "never") in item.nodeid:
        os.abort()
    if "UNWIND_WAIT" in os.environ and len(records()) >= 2:
        Path("in_case").touch()
        try:
            while True:
                time.sleep(0.01)
        finally:
            Path("unwinding").touch()
            wait_for("may_unwind")


def pytest_runtest_teardown() -> None:
    """The results folder vanishes."""
    if os.environ.get("VANISH_AFTER") == str(len(records())):
        RESULTS.rename("elsewhere")
