"""Keeps pytest's cache equal to the records: the done cases, and the cases that `--lf` runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from _pytest.nodeid import NodeId  # pytest's cache is keyed by it

from glu_lib.results.writing import write_atomically

CASE_PROPERTY = "glu_case"
_LASTFAILED = "cache/lastfailed"
PENDING_PROPERTY = "glu_pending"


class Mirror:
    """Keeps `cache/lastfailed` (unfinished cases) and `glu/done` (done cases) current from the start of the run.

    pytest itself writes its cache only at the end of a run, and a killed run has no end.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._done: set[str] = set()
        self._open: set[Any] = set()
        self._own: set[str] = set()
        self.trouble = ""

    @property
    def left(self) -> int:
        """Number of cases that this run has still to measure."""
        return len(self._open)

    def start(self, selected: Iterable[Any], pending: Iterable[Any], done: Iterable[str]) -> None:
        """Write the initial state of the run to the cache.

        Args:
            selected: node ids of the selected cases.
            pending: node ids of the cases that are to be measured.
            done: ids of the done cases.
        """
        pending, lastfailed = list(pending), self._lastfailed()
        self._own = set(map(str, selected))
        if lastfailed is not None:
            lastfailed.update(dict.fromkeys(pending, True))
        self._done, self._open = set(done), set(pending)
        self._write()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a blocked case pending, and write the files at once; runs after pytest's own bookkeeping."""
        properties = dict(report.user_properties)
        if CASE_PROPERTY not in properties or report.when == "teardown":
            return
        lastfailed = self._lastfailed()
        if lastfailed is not None and PENDING_PROPERTY in properties:
            lastfailed[report.id] = True
        if PENDING_PROPERTY not in properties and (report.when == "call" or report.outcome != "passed"):
            self._open.discard(report.id)
        if report.when == "call" and report.passed:
            self._done.add(str(properties[CASE_PROPERTY]))
        if report.when == "call" or report.outcome != "passed":
            self._write()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Keep the entries of other runs: pytest is about to overwrite the file with its own list."""
        lastfailed = self._lastfailed()
        if lastfailed is not None and self._own:
            self._take_over(lastfailed)

    def _take_over(self, lastfailed: dict[Any, bool]) -> None:
        """Take cases of other runs from the file: a run with the same cache may have changed them meanwhile."""
        try:
            noted = json.loads(self._config.cache._getvaluepath(_LASTFAILED).read_text(encoding="utf-8"))
        except (AttributeError, OSError, ValueError):
            return
        if not isinstance(noted, dict):
            return
        for name in [name for name in lastfailed if str(name) not in self._own and str(name) not in noted]:
            del lastfailed[name]
        known = set(map(str, lastfailed))
        lastfailed.update({NodeId.parse(name): True for name in noted if name not in known and name not in self._own})

    def _lastfailed(self) -> dict[Any, bool] | None:
        """The dictionary in which pytest keeps cases that have not passed; None with `-p no:cacheprovider`."""
        plugin = self._config.pluginmanager.get_plugin("lfplugin")
        return plugin.lastfailed if plugin else None

    def _write(self) -> None:
        """Replace both files atomically, so that a kill leaves the old file or the new one."""
        lastfailed = self._lastfailed()
        if lastfailed is None or self._config.cache is None or hasattr(self._config, "workerinput"):
            return
        self._take_over(lastfailed)
        contents = {
            _LASTFAILED: {str(name): True for name in lastfailed},
            "glu/done": sorted(self._done),
        }
        try:
            for key, value in contents.items():
                write_atomically(self._config.cache._getvaluepath(key), json.dumps(value, indent=1).encode())
        except OSError as error:
            # Not an error: the records are complete without the cache.
            self.trouble = (
                f"pytest's cache cannot be written ({error.strerror}), so --lf will not work; resume with the same "
                "selection"
            )
