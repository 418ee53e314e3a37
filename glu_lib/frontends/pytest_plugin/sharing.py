"""Several runs on one results folder: a case that another run is measuring moves to the end of this run."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from glu_lib.errors import RecordError
from glu_lib.frontends.pytest_plugin.collection import case_of
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.frontends.pytest_plugin.resume import PLAN, RESULTS_FOLDER, is_done, look_up
from glu_lib.results.leases import PATIENCE_S
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case

_PUT_OFF = pytest.StashKey[bool]()
_POLL_S = 1.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Take the lease of the case before its model is loaded; a case without a free lease moves to the end."""
    case = case_of(item)
    if case is None or is_done(item.config, case):
        return None
    experiment, blocked = item.config.stash[EXPERIMENT], item.config.stash[PLAN].blocked
    try:
        experiment.check_folder()
        is_mine = experiment.leases.take(case)
    except RecordError as error:
        blocked[RESULTS_FOLDER] = str(error)
        return None
    blocked.pop(RESULTS_FOLDER, None)  # writable again: space was freed, or a drive was mounted
    if is_mine:
        _look_again(item.config, experiment, case)
        return None
    if item.stash.get(_PUT_OFF, False) or hasattr(item.config, "workerinput"):
        _wait(item.config, experiment, case)
        return None
    item.stash[_PUT_OFF] = True
    item.session.items.append(item)
    if nextitem is not None:
        item.session._setupstate.teardown_exact(nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """Give the lease back when the case has been reported, whatever its outcome."""
    report = yield
    if call.when == "teardown" and (case := case_of(item)) is not None:
        item.config.stash[EXPERIMENT].leases.give_back(case)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give back the leases of a run that was stopped during a case, so that other runs need not wait for them."""
    session.config.stash[EXPERIMENT].leases.give_all_back()


def _look_again(config: pytest.Config, experiment: Experiment, case: Case) -> None:
    """Update the state of the case: another run may have finished it since this run started."""
    if not experiment.has_measured(case):
        look_up(config.stash[PLAN], experiment, case)


def _wait(config: pytest.Config, experiment: Experiment, case: Case) -> None:
    """Wait until the case is done or its lease is free; after PATIENCE_S seconds the case stays pending."""
    plan = config.stash[PLAN]
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if experiment.leases.take(case, wait_s=_POLL_S):
            look_up(plan, experiment, case)
            return
        look_up(plan, experiment, case)
        if is_done(config, case):
            return
    plan.elsewhere.add(case.id)
