"""A run that is stopped: SIGTERM and a lost terminal end it as Ctrl-C does, and it says how to go on."""

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

from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.frontends.pytest_plugin.progress import TERMINAL
from glu_lib.frontends.pytest_plugin.resume import MIRROR, PLAN

# Ctrl-C; what batch systems, containers and notebook servers send before they kill; what a closed terminal sends.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SELECTING = ("-k", "-m")  # pytest's options, each with a word behind it, that --lf stands for
_NOTED = "stopping: tables are being written; Ctrl-C again leaves them out"
_ENDING = pytest.StashKey["Ending"]()


@dataclass(slots=True)
class Ending:
    """What the signals of a run do: the first ends it, the second is only noted, the third ends the process.

    People press Ctrl-C twice, wrappers send a signal on that has come already, batch systems send one after another:
    what ends is left to end. `asked` counts what was asked for; a run that ends by itself has asked once.
    """

    session: pytest.Session
    asked: int = 0

    def answer(self, number: int, _frame: FrameType | None) -> None:
        """Stop through every `finally`; or say that the run is stopping; or end at once."""
        name = signal.Signals(number).name
        if name == "SIGHUP":
            # The terminal says it more than once; and a word to it that is gone would end the run before its tables.
            signal.signal(number, signal.SIG_IGN)
            _mute_terminal()
        if not self.asked:
            self._stop(name)
        elif name != "SIGHUP":
            self.asked += 1
            if self.asked > 2:
                self._leave()
            self._say(_NOTED if self._has_cases else "stopping; Ctrl-C again ends at once")

    @property
    def _has_cases(self) -> bool:
        """Whether there are cases of the suite to write tables of: no ordinary tests, and not before they are known."""
        plan = self.session.config.stash[PLAN]
        return bool(plan.states or plan.blocked)

    def _stop(self, name: str) -> None:
        self.asked = 1
        # An exception raised while an object is being deleted is lost: then the run ends after the case at hand.
        self.session.shouldstop = name
        if self.session.config.pluginmanager.hasplugin("dsession"):
            # pytest-xdist would wait for the cases that its workers are at.
            _tell_workers(signal.SIGINT)
        raise KeyboardInterrupt(name)

    def _leave(self) -> NoReturn:
        """End the process: what is recorded is whole at any moment, as after `kill -9`; only words are missing."""
        config = self.session.config
        _tell_workers(signal.SIGKILL)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # it may be in the middle of writing
                stream.flush()
        folder = shlex.quote(str(config.stash[EXPERIMENT].store.root))
        tables = f" without tables (glu consolidate {folder} writes them)" if self._has_cases else ""
        left = f": {_left(config)}" if config.stash[MIRROR].left else ""
        self._say(f"stopped{tables}{left}")
        os._exit(pytest.ExitCode.INTERRUPTED)

    def _say(self, line: str) -> None:
        # Not through a stream: the signal may have come while that one writes.
        with suppress(OSError):
            os.write(self.session.config.stash[TERMINAL].fileno(), f"\n{line}\n".encode())


def _tell_workers(number: int) -> None:
    for worker in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended by itself
            worker.send_signal(number)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Answer the signals that nobody else has asked for."""
    if threading.current_thread() is not threading.main_thread():
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    if hasattr(session.config, "workerinput"):
        _heed_controller(session, numbers)
        return
    ending = session.config.stash[_ENDING] = Ending(session)
    for number in numbers:
        before = signal.getsignal(number)
        # SIG_IGN stays: nohup means that the run goes on.
        if before in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, ending.answer)
            session.config.add_cleanup(partial(_restore, ending, number, before))


def _heed_controller(session: pytest.Session, numbers: Sequence[int]) -> None:
    """A worker of pytest-xdist is ended by its controller; what the terminal sends to both, it hears once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        session.shouldstop = signal.Signals(number).name
        raise KeyboardInterrupt(session.shouldstop)

    for number in numbers:
        signal.signal(number, stop if number == signal.SIGINT else signal.SIG_IGN)


def _restore(ending: Ending, number: int, before: Any) -> None:
    signal.signal(number, before)
    if ending.asked and number == signal.SIGINT:
        # One more Ctrl-C while the interpreter ends would print where it was.
        atexit.register(signal.signal, number, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run that ends by itself writes its tables as one that is stopped: a first Ctrl-C does not lose them."""
    if ending := session.config.stash.get(_ENDING, None):
        ending.asked = max(ending.asked, 1)


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
    if exitstatus == pytest.ExitCode.INTERRUPTED and config.stash[MIRROR].left:
        terminalreporter.write_line(f"stopped: {_left(config)}", yellow=True)


def _left(config: pytest.Config) -> str:
    """How many cases are left, and the command that goes on with them."""
    left = config.stash[MIRROR].left
    command = shlex.join(["pytest", "--lf", *_other_words(config.invocation_params.args, config.args)])
    return f"{left} case{'s' * (left > 1)} had not finished; go on with: {command}"


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
