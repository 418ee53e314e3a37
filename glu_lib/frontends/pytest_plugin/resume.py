"""What is done, what is left, what is blocked; pytest's own cache kept true from the first second."""

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
GPU = "the GPU"  # what the cases of a process wait for whose GPU has failed for good
_ENERGY = "energy workloads"
_ELSEWHERE = "another run on this results folder"
_ALONE = (
    "energy workloads cannot be measured under pytest-xdist: workers share the machine, and pytest-benchmark measures "
    "nothing there; run them without -n"
)


@dataclass(slots=True)
class Plan:
    """State of the selected cases; `blocked` holds the error of each model, (model, level) or folder that has one.

    `announced` are those whose error has been shown: the first case fails with it, the others are
    skipped and stay pending. Keys are `llama1b` for a model, `llama1b-p40` for one level of it,
    `the calibration text of llama1b` for its levels of the calibrated method.
    `elsewhere` are the ids of cases that another run on the same results folder works on.
    """

    states: dict[str, CaseState] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)

    def count(self, status: Status) -> int:
        """Number of selected cases in this status."""
        return sum(state.status is status for state in self.states.values())


PLAN = pytest.StashKey[Plan]()
MIRROR = pytest.StashKey["Mirror"]()


def pytest_configure(config: pytest.Config) -> None:
    """Start with an empty plan; it is filled when the selection is known."""
    config.stash[PLAN] = Plan()
    config.stash[MIRROR] = Mirror(config)
    config.pluginmanager.register(config.stash[MIRROR], "glu-mirror")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the selected cases, here and in each worker of pytest-xdist.

    pytest says that it has collected even when it was stopped before -k and -m were looked at: all that there is would
    become what `--lf` goes on with.
    """
    if session.config.stash.get(IS_SELECTED, False) and not session.config.getoption("collectonly"):
        begin(session.config, {item.id: case for item in session.items if (case := case_of(item))})


def begin(config: pytest.Config, cases: Mapping[Any, Case]) -> None:
    """Look up the state of every selected case, refuse what cannot be done, write down what is to be done.

    Args:
        config: of this process; under pytest-xdist its controller checks and writes for all workers.
        cases: the selected cases by pytest's own node ids.

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
    """Note whether `case` is done, or why its model cannot be had, or not for its kind of prompts."""
    try:
        plan.states[case.id] = experiment.state(case)
    except AccessError as error:
        plan.blocked[case.model.key] = str(error)
    except TemplateError as error:
        plan.blocked[_template_of(case)] = str(error)


def is_done(config: pytest.Config, case: Case) -> bool:
    """Whether `case` needs no run, as far as the plan knows."""
    state = config.stash[PLAN].states.get(case.id)
    return state is not None and state.status is Status.DONE and not config.getoption("rerun")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """That nothing is left to be resumed is a good end, where a run is known at all."""
    config = session.config
    cache = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    is_known = cache is not None and cache.get("glu/done", None)
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and config.getoption("lf", default=False) and is_known:
        session.exitstatus = pytest.ExitCode.OK if not is_resuming(config) else exitstatus


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is done before its model is loaded; fail once, then skip, what cannot be reached."""
    case = case_of(item)
    if case is None:
        return
    item.user_properties.append((CASE_PROPERTY, case.id))
    plan = item.config.stash[PLAN]
    if is_done(item.config, case):
        pytest.skip(f"done: {plan.states[case.id].path}")
    if case.id in plan.elsewhere:
        # Not only skipped: a run that ends with 0 has measured, or found, all that was selected.
        fail_once(item, _ELSEWHERE, f"{_ELSEWHERE} still works on {case.id}; when that has ended: pytest --lf")
    if case.kind is CaseKind.ENERGY and hasattr(item.config, "workerinput"):
        plan.blocked.setdefault(_ENERGY, _ALONE)
    if failure := item.config.stash[EXPERIMENT].guard.failure:
        plan.blocked.setdefault(GPU, failure)
    cause = next((key for key in _causes(case) if key in plan.blocked), None)
    if cause is not None:
        fail_once(item, cause, plan.blocked[cause])


def fail_once(item: pytest.Item, cause: str, message: str) -> NoReturn:
    """Fail with what blocks a case; if that was announced before, skip the case, which stays pending."""
    if cause in item.config.stash[PLAN].announced:
        item.user_properties.append((PENDING_PROPERTY, cause))
        pytest.skip(f"blocked: {message}")
    announce(item, cause, message)


def _causes(case: Case) -> Iterator[str]:
    """What can block a case."""
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
    """What the cases with chat prompts of a model without a chat template wait for."""
    return f"the chat template of {case.model.key}"


def calibration_text(variant: ModelVariant) -> str:
    """What the cases of the calibrated method wait for where its text cannot be had."""
    return f"the calibration text of {variant.key}"


def announce(item: pytest.Item, cause: str, message: str, details: str = "") -> NoReturn:
    """Fail with the error of a model, a level or the GPU; the other cases will be skipped and stay pending.

    Args:
        item: the first case that meets the error.
        cause: what the others wait for.
        message: the error in one line, with which they are skipped.
        details: what this case shows instead, if there is more to see.
    """
    plan = item.config.stash[PLAN]
    plan.blocked[cause] = message
    plan.announced.add(cause)
    item.user_properties.append((PENDING_PROPERTY, cause))
    pytest.fail(details or message, pytrace=False)
