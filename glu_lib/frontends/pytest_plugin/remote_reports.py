"""Reports of cases that run in another process, and of cases whose process is gone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from glu_lib.frontends.pytest_plugin.collection import case_of
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, PENDING_PROPERTY


def packed(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    """A report as JSON values."""
    found: dict[str, Any] = config.hook.pytest_report_to_serializable(config=config, report=report)
    return found


def show(item: pytest.Item, reports: Iterable[dict[str, Any]]) -> None:
    """Report a case of this run with the reports of the process that ran it."""
    config = item.config
    unpack = partial(config.hook.pytest_report_from_serializable, config=config)
    _log(item, [unpack(data=data) for data in reports])


def fail(item: pytest.Item, message: str) -> None:
    """Report that a case has failed with this one line."""
    _log(item, [failed_report(item, message)])


def wait(item: pytest.Item, message: str, cause: str, *, is_first: bool) -> None:
    """Report a case that waits for `cause`: the first one of the run has failed, the others are skipped.

    All of them stay pending for `--lf`.
    """
    item.user_properties.append((PENDING_PROPERTY, cause))
    _log(item, [failed_report(item, message) if is_first else _made(item, partial(pytest.skip, f"blocked: {message}"))])


def failed_report(item: pytest.Item, message: str) -> pytest.TestReport:
    """The report of a case that did not run to its end, with one line and no traceback."""
    return _made(item, partial(pytest.fail, message, pytrace=False))


def _made(item: pytest.Item, call: Any) -> pytest.TestReport:
    case = case_of(item)
    if case is not None and CASE_PROPERTY not in dict(item.user_properties):
        item.user_properties.append((CASE_PROPERTY, case.id))
    info: pytest.CallInfo[None] = pytest.CallInfo.from_call(call, when="call")
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=info)
    return report


def _log(item: pytest.Item, reports: Iterable[pytest.TestReport]) -> None:
    place = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**place)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(**place)
