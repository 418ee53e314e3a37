"""Progress of a run: one line per finished case with the time left, and progress bars during long cases."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import pytest

from glu_lib.frontends.bars import PlainBars
from glu_lib.frontends.pytest_plugin.collection import case_of
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, SESSION
from glu_lib.run.time_left import Clock, TimeLeft, recorded_times
from glu_lib.study.cases import Case
from glu_lib.wording import duration

TERMINAL = pytest.StashKey[TextIO]()
LINE_PROPERTY = "glu_line"  # the result, as shown in the progress line of a case
# Seconds of a case's own work. The test duration can be longer: during the first energy case other levels are measured.
SECONDS_PROPERTY = "glu_seconds"
LOAD_PROPERTY = "glu_load_seconds"  # of loading and pruning the model of a case


def pytest_configure(config: pytest.Config) -> None:
    """Keep a handle of the real terminal, because pytest captures output while a case runs."""
    if not hasattr(config, "workerinput"):
        config.stash[TERMINAL] = terminal = os.fdopen(os.dup(2), "w")
        config.add_cleanup(terminal.close)
        config.pluginmanager.register(CaseProgress(config), "glu-progress")


@contextlib.contextmanager
def live_bars(config: pytest.Config) -> Iterator[None]:
    """Show progress bars of downloads and requests on the terminal; write them as lines to a log."""
    terminal = config.stash.get(TERMINAL, None) if config.get_verbosity() >= 0 else None
    is_drawn = terminal is not None and terminal.isatty()
    # With -q there is no terminal: pytest captures the text for a failed case, and the bars are dropped.
    with contextlib.redirect_stderr(terminal if is_drawn else PlainBars(terminal, terminal or sys.stderr)):
        yield


def left_text(found: TimeLeft) -> str:
    """The time left, as printed: `1 min 20 s left`, or at least so much if some cases are unknown."""
    text = f"{duration(found.seconds)} left"
    return f"at least {text}" if found.unknown else text


class CaseProgress:
    """Prints `nano-p40-sums  exact_match 0.590  3.1 s  [12/49, 1 min 20 s left]` after each case."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left: dict[str, Case] = {}  # cases to come, by id
        self._total = 0
        self._loaded: set[str] = set()  # groups whose model has been prepared
        self._clock = Clock()
        self.workers = int(config.getoption("numprocesses", default=None) or 1)  # a cluster sets its own number

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Store the cases to come, before pytest prints the header."""
        self.expect([case for item in session.items if (case := case_of(item))])

    def expect(self, cases: Sequence[Case]) -> None:
        """Store the cases to come; called directly under pytest-xdist, whose controller collects no items."""
        self._left = {case.id: case for case in cases}
        self._total = len(self._left)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._left and reporter is not None and self._config.get_verbosity() == 0:
            reporter.showfspath = False  # each case prints its own line, so file names add nothing
            experiment = self._config.stash[EXPERIMENT]
            limit = experiment.settings.limit
            self._clock = Clock(recorded_times(experiment.store, cases, limit, experiment.environment))

    def pytest_report_collectionfinish(self) -> list[str]:
        """The time that the run will take, as far as earlier records of its tasks tell it."""
        if self._config.getoption("collectonly") or not self._left:
            return []
        found = self._clock.left(self._to_come())
        return [f"{left_text(found)}, by the records of these tasks"] if found else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count a case as pytest does, but print no dot: the case has its own line."""
        if self._speaks_for(report) and report.outcome in ("passed", "skipped"):
            is_counted = report.when == "call" or report.skipped
            return (report.outcome, "", report.outcome.upper()) if is_counted else ("", "", "")
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the finished case and the time left."""
        if not self._speaks_for(report) or not self._left:
            return
        case_id = str(dict(report.user_properties)[CASE_PROPERTY])
        if report.when == "setup" and report.outcome != "passed":
            self._left.pop(case_id, None)
        elif report.when == "call":
            case = self._left.pop(case_id)
            self._loaded.add(case.group)
            self._take_note(case, report)
            self._print(case_id, report)

    def _take_note(self, case: Case, report: pytest.TestReport) -> None:
        found = dict(report.user_properties)
        if isinstance(own_s := found.get(SECONDS_PROPERTY), float) and report.outcome == "passed":
            self._clock.measured(case, own_s)
        if isinstance(load_s := found.get(LOAD_PROPERTY), float):
            self._clock.loaded(case, load_s)

    def _print(self, case_id: str, report: pytest.TestReport) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        headline = dict(report.user_properties).get(LINE_PROPERTY, report.outcome)
        finished = self._total - len(self._left)
        found = self._clock.left(self._to_come(), loaded=self._loaded, workers=self.workers)
        left = f", {left_text(found)}" if found else ""
        reporter.ensure_newline()
        reporter.write_line(
            f"  {case_id:<24} {headline:<24} {duration(report.duration):>8}  [{finished}/{self._total}{left}]"
        )

    def _to_come(self) -> list[Case]:
        """The cases that will take time: not those that are done, or were measured together with another level."""
        plan = self._config.stash[SESSION].plan
        return [case for name, case in self._left.items() if name not in plan.measured and not plan.is_done(case)]

    def _speaks_for(self, report: pytest.TestReport) -> bool:
        return self._config.get_verbosity() == 0 and any(
            name == CASE_PROPERTY
            for name, _ in getattr(report, "user_properties", ())  # collection reports lack the attribute
        )
