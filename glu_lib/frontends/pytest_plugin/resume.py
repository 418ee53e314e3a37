"""The plan of a run: the selected cases that are done, pending or blocked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from glu_lib.errors import AccessError, RecordError, TemplateError
from glu_lib.frontends.pytest_plugin.collection import IS_SELECTED, case_of, is_resuming
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, PENDING_PROPERTY, Mirror
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.results.staleness import CaseState, Status
from glu_lib.run.experiment import RANDOM_ACCURACY, Experiment
from glu_lib.study import Method, ModelVariant, Task
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.settings import Weights

RESULTS_FOLDER = "the results folder"
GPU = "the GPU"  # cause of blocked cases after a GPU failure that only a new process can recover from
_ENERGY = "a run without -n"
_ELSEWHERE = "another run on this results folder"
_ALONE = (
    "energy workloads cannot be measured under pytest-xdist: its workers share the machine, and it disables "
    "pytest-benchmark; run them without -n"
)


@dataclass(slots=True)
class Plan:
    """State of the selected cases.

    Attributes:
        states: state of each case, by id.
        blocked: error message of each cause that blocks cases. A cause is a model (`llama1b`), a level of it
            (`llama1b-p40`), or a text such as `the GPU` or `the calibration text of llama1b`.
        announced: causes whose error has been shown. The first case fails with the error, the others are skipped and
            stay pending.
        elsewhere: ids of cases that another run on the same results folder is measuring.
    """

    states: dict[str, CaseState] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)

    def count(self, status: Status) -> int:
        """Number of selected cases with this status."""
        return sum(state.status is status for state in self.states.values())


PLAN = pytest.StashKey[Plan]()
MIRROR = pytest.StashKey["Mirror"]()


def pytest_configure(config: pytest.Config) -> None:
    """Create an empty plan; `begin` fills it after collection."""
    config.stash[PLAN] = Plan()
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
    for case in cases.values():
        look_up(config.stash[PLAN], config.stash[EXPERIMENT], case)
    pending = {node_id: case for node_id, case in cases.items() if not is_done(config, case)}
    done = [case for case in cases.values() if is_done(config, case)]
    if cases and not hasattr(config, "workerinput"):
        weights = config.stash[EXPERIMENT].settings.weights
        if weights is Weights.RANDOM and any(case.kind is CaseKind.ACCURACY for case in cases.values()):
            raise pytest.UsageError(RANDOM_ACCURACY)
        if pending:
            _check_writable(config)
        config.stash[MIRROR].start(cases, pending, [case.id for case in done])
    config.stash[EXPERIMENT].expect(list(pending.values()), done)


def _check_writable(config: pytest.Config) -> None:
    try:
        config.stash[EXPERIMENT].store.check_writable()
    except RecordError as error:
        raise pytest.UsageError(str(error)) from None


def look_up(plan: Plan, experiment: Experiment, case: Case) -> None:
    """Store the state of `case`, or the error if its model is not accessible or lacks a chat template."""
    try:
        plan.states[case.id] = experiment.state(case)
    except AccessError as error:
        plan.blocked[case.model.key] = str(error)
    except TemplateError as error:
        plan.blocked[_template_of(case)] = str(error)


def is_done(config: pytest.Config, case: Case) -> bool:
    """Whether `case` is done according to the plan, and --rerun is not given."""
    state = config.stash[PLAN].states.get(case.id)
    return state is not None and state.status is Status.DONE and not config.getoption("rerun")


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
    plan = item.config.stash[PLAN]
    if is_done(item.config, case):
        pytest.skip(f"done: {plan.states[case.id].path}")
    if case.id in plan.elsewhere:
        # Fail instead of skip: exit code 0 means that all selected cases have records.
        fail_once(item, _ELSEWHERE, f"{_ELSEWHERE} is still measuring {case.id}; when that run has ended: pytest --lf")
    if case.kind is CaseKind.ENERGY and hasattr(item.config, "workerinput"):
        plan.blocked.setdefault(_ENERGY, _ALONE)
    if failure := item.config.stash[EXPERIMENT].guard.failure:
        plan.blocked.setdefault(GPU, failure)
    cause = next((key for key in _causes(case) if key in plan.blocked), None)
    if cause is not None:
        fail_once(item, cause, plan.blocked[cause])


def fail_once(item: pytest.Item, cause: str, message: str) -> NoReturn:
    """Fail with the error of `cause`; if it was announced before, skip the case, which stays pending."""
    if cause in item.config.stash[PLAN].announced:
        item.user_properties.append((PENDING_PROPERTY, cause))
        pytest.skip(f"blocked: {message}")
    announce(item, cause, message)


def _causes(case: Case) -> Iterator[str]:
    """The causes that can block a case."""
    yield RESULTS_FOLDER
    if case.kind is CaseKind.ENERGY:
        yield _ENERGY
    if case.kind is not CaseKind.ARCHITECTURE:
        yield from (GPU, case.model.key, case.group)
    if isinstance(case.subject, Task) and case.subject.is_chat:
        yield _template_of(case)
    if case.pruning.method is Method.HYBRID:
        yield calibration_text(case.model)


def _template_of(case: Case) -> str:
    """Cause that blocks cases with chat prompts if the model has no chat template."""
    return f"the chat template of {case.model.key}"


def calibration_text(variant: ModelVariant) -> str:
    """Cause that blocks cases of the calibrated method if the calibration text is not available."""
    return f"the calibration text of {variant.key}"


def announce(item: pytest.Item, cause: str, message: str, details: str = "") -> NoReturn:
    """Fail with the error of a model, a level or the GPU; its other cases will be skipped and stay pending.

    Args:
        item: the first case that meets the error.
        cause: the cause that blocks the other cases.
        message: the error in one line; the other cases are skipped with it.
        details: a longer text that this case shows instead, such as a traceback.
    """
    plan = item.config.stash[PLAN]
    plan.blocked[cause] = message
    plan.announced.add(cause)
    item.user_properties.append((PENDING_PROPERTY, cause))
    pytest.fail(details or message, pytrace=False)
