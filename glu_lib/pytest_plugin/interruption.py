"""A run that is stopped: SIGTERM and a lost terminal end it as Ctrl-C does, and it says how to go on."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
import pytest

from glu_lib.pytest_plugin.resume import MIRROR

# Ctrl-C; what batch systems, containers and notebook servers send before they kill; what a closed terminal sends.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SELECTING = ("-k", "-m")  # pytest's options, each with a word behind it, that --lf stands for


def pytest_sessionstart(session: pytest.Session) -> None:
    """Answer the signals that nobody else has asked for; an xdist worker is ended by its controller."""
    if hasattr(session.config, "workerinput") or threading.current_thread() is not threading.main_thread():
        return
    for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
        before = signal.getsignal(number)
        # SIG_IGN stays: nohup means that the run goes on.
        if before in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, partial(_stop, session, before))
            session.config.add_cleanup(partial(_restore, number, before))


def _restore(number: int, before: Any) -> None:
    signal.signal(number, before)


def _stop(session: pytest.Session, before: Any, number: int, _frame: FrameType | None) -> NoReturn:
    """Stop at once, through every `finally`; the same signal again does what it did before."""
    name = signal.Signals(number).name
    _restore(number, before)
    # An exception that is raised while an object is being deleted is lost: then the run ends after the case at hand.
    session.shouldstop = name
    if session.config.pluginmanager.hasplugin("dsession"):
        # pytest-xdist would wait for the cases that its workers are at.
        for worker in psutil.Process().children():
            worker.send_signal(signal.SIGINT)
    if name == "SIGHUP":
        # The terminal says it more than once; and a word to it that is gone would end the run before its tables.
        signal.signal(number, signal.SIG_IGN)
        _mute_terminal()
    raise KeyboardInterrupt(name)


def _mute_terminal() -> None:
    """Let what is still written to a terminal that is gone go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # no such folder outside Linux
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if str(path.readlink()).startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
                    os.dup2(nowhere, int(path.name))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """After a stop: how many cases are left, and the command that goes on with them."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and (left := config.stash[MIRROR].left):
        command = shlex.join(["pytest", "--lf", *_other_words(config.invocation_params.args, config.args)])
        cases = f"{left} case{'s' * (left > 1)}"
        terminalreporter.write_line(f"stopped: {cases} had not finished; go on with: {command}", yellow=True)


def _other_words(words: Sequence[object], places: Sequence[str]) -> Iterator[str]:
    """The words of a command line without those that select cases: what is left decides what a case means.

    Args:
        words: of the command line.
        places: the paths and node ids among them.
    """
    rest = iter(map(str, words))
    for word in rest:
        if word in _SELECTING:
            next(rest, None)
        elif word[:2] not in _SELECTING and word not in ("--lf", "--last-failed", *places):
            yield word
