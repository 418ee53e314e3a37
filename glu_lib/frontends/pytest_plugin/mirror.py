"""Keeps pytest's cache equal to the records: the done cases, and the cases that `--lf` runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from glu_lib.frontends.pytest_plugin.internals import NodeId, cache_path, last_failed
from glu_lib.results.writing import write_atomically

CASE_PROPERTY = "glu_case"
_LASTFAILED = "cache/lastfailed"
PENDING_PROPERTY = "glu_pending"


# More entries than this are not written after every case: that would take a second for each at 210,000 cases.
_AT_ONCE = 1000
_SHARE = 0.02  # of a run's time that writing may take then


class Mirror:
    """Keeps `cache/lastfailed` (unfinished cases) and `glu/done` (done cases) current from the start of the run.

    pytest itself writes its cache only at the end of a run, and a killed run has no end. A large study is written every
    now and then, so that a finished case costs the same whatever the number of cases. A killed run may then leave
    finished cases among the unfinished ones, never the reverse; the next run finds their records and skips them.
    """

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._done: set[str] = set()
        self._open: set[Any] = set()
        self._own: set[str] = set()
        self._next_s = 0.0  # time of the next write of a large study
        self._is_behind = False
        self.trouble = ""

    @property
    def left(self) -> int:
        """Number of cases that this run has still to measure.

        A signal may arrive after pytest has noted a finished case and before this class has, so pytest's note counts.
        """
        lastfailed = last_failed(self._config)
        return len(self._open if lastfailed is None else self._open & lastfailed.keys())

    def start(self, selected: Iterable[Any], pending: Iterable[Any], done: Iterable[str]) -> None:
        """Write the initial state of the run to the cache.

        Args:
            selected: node ids of the selected cases.
            pending: node ids of the cases that are to be measured.
            done: ids of the done cases.
        """
        pending, lastfailed = list(pending), last_failed(self._config)
        self._own = set(map(str, selected))
        if lastfailed is not None:
            lastfailed.update(dict.fromkeys(pending, True))
        self._done, self._open = set(done), set(pending)
        self._write()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a blocked case pending, and write the files if it is time; runs after pytest's own bookkeeping."""
        properties = dict(report.user_properties)
        if CASE_PROPERTY not in properties or report.when == "teardown":
            return
        lastfailed = last_failed(self._config)
        if lastfailed is not None and PENDING_PROPERTY in properties:
            lastfailed[report.id] = True
        if PENDING_PROPERTY not in properties and (report.when == "call" or report.outcome != "passed"):
            self._open.discard(report.id)
        if report.when == "call" and report.passed:
            self._done.add(str(properties[CASE_PROPERTY]))
        if report.when == "call" or report.outcome != "passed":
            self._is_behind = True
            if len(self._own) <= _AT_ONCE or self._clock() >= self._next_s:
                self._write()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write what is left to write, and keep the entries of other runs: pytest is about to overwrite the file."""
        if self._is_behind:
            self._write()
        lastfailed = last_failed(self._config)
        if lastfailed is not None and self._own:
            self._take_over(lastfailed)

    def _take_over(self, lastfailed: dict[Any, bool]) -> None:
        """Take cases of other runs from the file: a run with the same cache may have changed them meanwhile."""
        try:
            noted = json.loads(cache_path(self._config, _LASTFAILED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if not isinstance(noted, dict):
            return
        for name in [name for name in lastfailed if str(name) not in self._own and str(name) not in noted]:
            del lastfailed[name]
        known = set(map(str, lastfailed))
        lastfailed.update({NodeId.parse(name): True for name in noted if name not in known and name not in self._own})

    def _write(self) -> None:
        """Replace both files atomically, so that a kill leaves the old file or the new one."""
        lastfailed = last_failed(self._config)
        if lastfailed is None or self._config.cache is None or hasattr(self._config, "workerinput"):
            return
        start_s = self._clock()
        self._take_over(lastfailed)
        contents = {
            _LASTFAILED: {str(name): True for name in lastfailed},
            "glu/done": sorted(self._done),
        }
        try:
            for key, value in contents.items():
                write_atomically(cache_path(self._config, key), json.dumps(value, indent=1).encode())
        except OSError as error:
            # Not an error: the records are complete without the cache.
            self.trouble = (
                f"pytest's cache cannot be written ({error.strerror}), so --lf will not work; resume with the same "
                "selection"
            )
        self._is_behind = False
        now_s = self._clock()
        self._next_s = now_s + (now_s - start_s) / _SHARE
