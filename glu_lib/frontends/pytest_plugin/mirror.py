"""pytest's cache as a mirror of the records: what is done, and what `--lf` has to run."""

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
    """Keeps `cache/lastfailed` and `glu/done` equal to what is left and done, from the first second.

    pytest itself writes its cache only at the end of a run, which a killed run does not reach.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._done: set[str] = set()
        self._open: set[Any] = set()
        self._own: set[str] = set()
        self.trouble = ""

    @property
    def left(self) -> int:
        """Cases of this run that were to be measured and have not been reported."""
        return len(self._open)

    def start(self, selected: Iterable[Any], pending: Iterable[Any], done: Iterable[str]) -> None:
        """Write down what is selected, what of it is to be done (node ids) and what is done (case ids)."""
        pending, lastfailed = list(pending), self._lastfailed()
        self._own = set(map(str, selected))
        if lastfailed is not None:
            lastfailed.update(dict.fromkeys(pending, True))
        self._done, self._open = set(done), set(pending)
        self._write()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After pytest's own bookkeeping: a blocked case stays pending, the files follow at once."""
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
        """Before pytest writes its own list at the end: what other runs have noted in the file meanwhile is kept."""
        lastfailed = self._lastfailed()
        if lastfailed is not None and self._own:
            self._take_over(lastfailed)

    def _take_over(self, lastfailed: dict[Any, bool]) -> None:
        """Of cases that are not this run's the file knows more: another run with the same cache may be at work."""
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
        """The dictionary in which pytest keeps of what has not passed; None with `-p no:cacheprovider`."""
        plugin = self._config.pluginmanager.get_plugin("lfplugin")
        return plugin.lastfailed if plugin else None

    def _write(self) -> None:
        """Replace both files atomically: a kill leaves the old or the new one, never half of it."""
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
            # The records are what counts: the same selection finds them, only --lf would not know of this run.
            self.trouble = (
                f"pytest's cache cannot be written ({error.strerror}): resume by the same selection, not by --lf"
            )
