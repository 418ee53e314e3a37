"""Resuming: plan the selected cases, skip those that are done, and fail once for each cause that blocks cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import pytest

from glu_lib.errors import RecordError
from glu_lib.frontends.pytest_plugin.collection import IS_SELECTED, case_of, is_resuming
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, PENDING_PROPERTY, Mirror
from glu_lib.frontends.pytest_plugin.options import SESSION
from glu_lib.run.measuring import RANDOM_ACCURACY
from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.settings import Weights

_ENERGY = "a run without -n"
ELSEWHERE = "another run on this results folder"
_ALONE = (
    "energy workloads cannot be measured under pytest-xdist: its workers share the machine, and it disables "
    "pytest-benchmark; run them without -n"
)


MIRROR = pytest.StashKey["Mirror"]()
_ANNOUNCED = pytest.StashKey[set[str]]()  # causes whose error a case has shown


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the notes on the run; `begin` fills them after collection."""
    config.stash[_ANNOUNCED] = set()
    config.stash[MIRROR] = Mirror(config)
    config.pluginmanager.register(config.stash[MIRROR], "glu-mirror")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the selected cases, in this process and in each worker of pytest-xdist.

    pytest also calls this hook if it was stopped before it applied -k and -m. Then nothing is planned: `--lf` would
    resume all cases of the study.
    """
    if session.config.stash.get(IS_SELECTED, False) and not session.config.getoption("collectonly"):
        begin(session.config, {item.id: case for item in session.items if (case := case_of(item))})


def begin(config: pytest.Config, cases: Mapping[Any, Case]) -> None:
    """Look up the state of every selected case, refuse an impossible selection, and write pytest's cache.

    Args:
        config: of this process; under pytest-xdist the controller checks and writes for all workers.
        cases: the selected cases by node id.

    Raises:
        pytest.UsageError: if the selection cannot be run.
    """
    session = config.stash[SESSION]
    session.begin(cases.values())
    plan, settings = session.plan, session.experiment.settings
    if cases and not hasattr(config, "workerinput"):
        if settings.weights is Weights.RANDOM and any(case.kind is CaseKind.ACCURACY for case in cases.values()):
            raise pytest.UsageError(RANDOM_ACCURACY)
        if plan.pending:
            _check_writable(config)
        pending = [node_id for node_id, case in cases.items() if case.id in plan.pending]
        config.stash[MIRROR].start(cases, pending, [case.id for case in cases.values() if plan.is_done(case)])


def _check_writable(config: pytest.Config) -> None:
    try:
        config.stash[SESSION].experiment.store.check_writable()
    except RecordError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Exit with 0, not 5, if --lf finds no unfinished case and pytest's cache lists done cases of an earlier run."""
    config = session.config
    cache = getattr(config, "cache", None)  # absent with -p no:cacheprovider
    is_known = cache is not None and cache.get("glu/done", None)
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and config.getoption("lf", default=False) and is_known:
        session.exitstatus = pytest.ExitCode.OK if not is_resuming(config) else exitstatus


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip done cases before their model is loaded; fail the first case of a blocking cause, skip the others."""
    case = case_of(item)
    if case is None:
        return
    item.user_properties.append((CASE_PROPERTY, case.id))
    session = item.config.stash[SESSION]
    if session.plan.is_done(case):
        pytest.skip(f"done: {session.plan.states[case.id].path}")
    if case.id in session.plan.elsewhere:
        # Fail instead of skip: exit code 0 means that all selected cases have records.
        fail_once(item, ELSEWHERE, elsewhere_line(case))
    if case.kind in ENERGY_KINDS and hasattr(item.config, "workerinput"):
        fail_once(item, _ENERGY, _ALONE)
    if cause := session.cause(case):
        fail_once(item, cause, str(session.plan.blocked[cause]))


def elsewhere_line(case: Case) -> str:
    """Why a case was not measured that another run has kept for too long."""
    return f"{ELSEWHERE} is still measuring {case.id}; when that run has ended: pytest --lf"


def fail_once(item: pytest.Item, cause: str, message: str) -> NoReturn:
    """Fail with the error of `cause`; if it was announced before, skip the case, which stays pending."""
    if cause in item.config.stash[_ANNOUNCED]:
        item.user_properties.append((PENDING_PROPERTY, cause))
        pytest.skip(f"blocked: {message}")
    announce(item, cause, message)


def announce(item: pytest.Item, cause: str, message: str, details: str = "") -> NoReturn:
    """Fail with the error that blocks further cases; these will be skipped and stay pending.

    Args:
        item: the first case that meets the error.
        cause: the cause that blocks the other cases.
        message: the error in one line.
        details: a longer text that this case shows instead, such as a traceback.
    """
    item.config.stash[_ANNOUNCED].add(cause)
    item.user_properties.append((PENDING_PROPERTY, cause))
    pytest.fail(details or message, pytrace=False)
