"""Stopping a run: SIGTERM and a closed terminal act like Ctrl-C, and the run prints the command to resume."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
import pytest

from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, SESSION
from glu_lib.frontends.pytest_plugin.progress import TERMINAL
from glu_lib.frontends.pytest_plugin.resume import MIRROR
from glu_lib.wording import counted

# SIGINT is Ctrl-C. Batch systems, containers and notebook servers send SIGTERM before SIGKILL. A closed terminal sends
# SIGHUP.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SELECTING = ("-k", "-m")  # options with a value that --lf replaces
_NOTED = "stopping: writing the tables; press Ctrl-C again to skip them"
_ENDING = pytest.StashKey["Ending"]()


@dataclass(slots=True)
class Ending:
    """Handles the signals of a run: the first stops it, the second prints a line, the third ends the process.

    The second signal does not interrupt the end of the run: people press Ctrl-C twice, wrappers forward a signal that
    the run has already received, and batch systems send several. `asked` counts the signals; a run that ends by itself
    starts at one.
    """

    session: pytest.Session
    asked: int = 0

    def answer(self, number: int, _frame: FrameType | None) -> None:
        """Stop the run through every `finally`, print that it is stopping, or end the process at once."""
        name = signal.Signals(number).name
        if name == "SIGHUP":
            # A closing terminal sends it several times, and output to a closed terminal would raise before the tables.
            signal.signal(number, signal.SIG_IGN)
            _mute_terminal()
        if not self.asked:
            self._stop(name)
        elif name != "SIGHUP":
            self.asked += 1
            if self.asked > 2:
                self._leave()
            self._say(_NOTED if self._has_cases else "stopping; press Ctrl-C again to end at once")

    @property
    def _has_cases(self) -> bool:
        """Whether the run has cases of the suite, and thus tables to write; False until collection is complete."""
        plan = self.session.config.stash[SESSION].plan
        return bool(plan.states or plan.blocked)

    def _stop(self, name: str) -> None:
        self.asked = 1
        # Python drops an exception raised in a destructor; then shouldstop ends the run after the current case.
        self.session.shouldstop = name
        if self.session.config.pluginmanager.hasplugin("dsession"):
            # pytest-xdist would wait until its workers finish their current cases.
            _tell_workers(signal.SIGINT)
        raise KeyboardInterrupt(name)

    def _leave(self) -> NoReturn:
        """End the process at once; records are written atomically, so they stay complete as after `kill -9`."""
        config = self.session.config
        _tell_workers(signal.SIGKILL)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the signal may have interrupted a write
                stream.flush()
        folder = shlex.quote(str(config.stash[EXPERIMENT].store.root))
        tables = f" without writing tables (glu consolidate {folder} writes them)" if self._has_cases else ""
        left = f": {_left(config)}" if config.stash[MIRROR].left else ""
        self._say(f"stopped{tables}{left}")
        os._exit(pytest.ExitCode.INTERRUPTED)

    def _say(self, line: str) -> None:
        # Not through a stream: the signal may have interrupted a write to it.
        with suppress(OSError):
            os.write(self.session.config.stash[TERMINAL].fileno(), f"\n{line}\n".encode())


def _tell_workers(number: int) -> None:
    for worker in psutil.Process().children():
        with suppress(psutil.Error):  # the worker has already ended
            worker.send_signal(number)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Install handlers for the signals that have their default handler."""
    if threading.current_thread() is not threading.main_thread():
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    if hasattr(session.config, "workerinput"):
        _heed_controller(session, numbers)
        return
    ending = session.config.stash[_ENDING] = Ending(session)
    for number in numbers:
        before = signal.getsignal(number)
        # Ignored signals stay ignored: under nohup the run continues.
        if before in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, ending.answer)
            session.config.add_cleanup(partial(_restore, ending, number, before))


def _heed_controller(session: pytest.Session, numbers: Sequence[int]) -> None:
    """Let only the controller stop a worker of pytest-xdist.

    The terminal sends its signals to both processes, so a worker reacts to the first SIGINT and ignores the rest.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        session.shouldstop = signal.Signals(number).name
        raise KeyboardInterrupt(session.shouldstop)

    for number in numbers:
        signal.signal(number, stop if number == signal.SIGINT else signal.SIG_IGN)


def _restore(ending: Ending, number: int, before: Any) -> None:
    signal.signal(number, before)
    if ending.asked and number == signal.SIGINT:
        # Without this, Ctrl-C at interpreter exit would print a traceback.
        atexit.register(signal.signal, number, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Count the end of the run as the first signal, so that one Ctrl-C does not interrupt writing the tables."""
    if ending := session.config.stash.get(_ENDING, None):
        ending.asked = max(ending.asked, 1)


def _mute_terminal() -> None:
    """Redirect output to a closed terminal to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # /proc exists only on Linux
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if str(path.readlink()).startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
                    os.dup2(nowhere, int(path.name))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """After a stop, print the number of unfinished cases and the command to resume."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and config.stash[MIRROR].left:
        terminalreporter.write_line(f"stopped: {_left(config)}", yellow=True)


def _left(config: pytest.Config) -> str:
    """The number of unfinished cases and the command to resume."""
    left = config.stash[MIRROR].left
    command = shlex.join(["pytest", "--lf", *_other_words(config.invocation_params.args, config.args)])
    return f"{counted(left, 'case')} not finished; resume with: {command}"


def _other_words(words: Sequence[object], places: Sequence[str]) -> Iterator[str]:
    """The words of a command line without the selection; the other options define the cases, so --lf needs them.

    Args:
        words: the words of the command line.
        places: the paths and node ids among them.
    """
    rest = iter(map(str, words))
    for word in rest:
        if word in _SELECTING:
            next(rest, None)
        elif word[:2] not in _SELECTING and word not in ("--lf", "--last-failed", *places):
            yield word
