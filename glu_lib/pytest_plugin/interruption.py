"""A run that is stopped: SIGTERM and a lost terminal end it as Ctrl-C does, and it says how to go on."""

from __future__ import annotations

import signal
import threading
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import pytest

from glu_lib.pytest_plugin.collection import case_of
from glu_lib.pytest_plugin.resume import is_done

# Ctrl-C; what batch systems, containers and notebook servers send before they kill; what a closed terminal sends.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """A signal asked the run to stop."""


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
    raise Stopped(name)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """After a stop: how many cases are left, and the command that goes on with them."""
    session = terminalreporter._session
    if exitstatus != pytest.ExitCode.INTERRUPTED or session is None:
        return
    called = {
        report.nodeid
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
    }
    cases = [(item, case) for item in session.items if (case := case_of(item)) is not None]
    left = sum(item.nodeid not in called and not is_done(config, case) for item, case in cases)
    if left:
        terminalreporter.write_line(f"stopped: {left} cases had not finished; go on with: pytest --lf", yellow=True)
