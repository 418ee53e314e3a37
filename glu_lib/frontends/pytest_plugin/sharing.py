"""Several runs on one results folder: a case that another run is measuring moves to the end of this run."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from glu_lib.frontends.pytest_plugin.collection import case_of
from glu_lib.frontends.pytest_plugin.internals import tear_down_to
from glu_lib.frontends.pytest_plugin.options import SESSION

_PUT_OFF = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Claim the case before its model is loaded; a case that another run is measuring moves to the end."""
    case, session = case_of(item), item.config.stash[SESSION]
    if case is None or session.plan.is_done(case):
        return None
    if session.claim(case):
        return None
    if item.stash.get(_PUT_OFF, False) or hasattr(item.config, "workerinput"):
        session.wait_for(case)
        return None
    item.stash[_PUT_OFF] = True
    item.session.items.append(item)
    if nextitem is not None:
        tear_down_to(item.session, nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """Give the case back when it has been reported, whatever its outcome."""
    report = yield
    if call.when == "teardown" and (case := case_of(item)) is not None:
        item.config.stash[SESSION].give_back(case)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the run, which may have been stopped during a case, so that other runs need not wait for it."""
    session.config.stash[SESSION].end()
