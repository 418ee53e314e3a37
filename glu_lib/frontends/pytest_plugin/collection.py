"""Turns cases into test items, orders them, and chooses the cases of a run without a selection."""

from __future__ import annotations

import pytest

from glu_lib.errors import StudyError
from glu_lib.frontends.pytest_plugin.internals import last_failed
from glu_lib.frontends.pytest_plugin.options import CHOICES, EXPERIMENT
from glu_lib.run.starting_place import starting_place
from glu_lib.study.cases import Case, CaseKind, build_cases, run_order
from glu_lib.study.selection import ON_REQUEST

DEFAULT_MARKEXPR = " and ".join(f"not {mark}" for mark in (*ON_REQUEST, "speed"))  # as in pytest.ini
CASES = pytest.StashKey[list[Case]]()
IS_SELECTED = pytest.StashKey[bool]()  # set once -k and -m are applied: not after an error or Ctrl-C before that
DEFAULT_SELECTION_INPUT = "glu_default_selection"  # sent by the controller: a worker sees only resolved paths
_NOTHING_LEFT_OPTIONS = ("--lfnf", "--last-failed-no-failures")
_CASES_BY_ID = pytest.StashKey[dict[str, Case]]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """With --lf drop the default -m, so that energy cases on the list run too: the earlier run asked for them."""
    if is_resuming(config) and config.getoption("markexpr") == DEFAULT_MARKEXPR:
        config.option.markexpr = ""
    words = map(str, config.invocation_params.args)
    if config.getoption("lf", default=False) and not any(word.startswith(_NOTHING_LEFT_OPTIONS) for word in words):
        config.option.last_failed_no_failures = "none"  # pytest's default runs all tests if none has failed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a benchmark over the cases of its kind; cases of one (model, level) share `prepared`."""
    marker = metafunc.definition.get_closest_marker("cases_of")
    if marker is None:
        return
    kind = CaseKind(marker.args[0])
    config = metafunc.config
    cases = [case for case in all_cases(config) if case.kind is kind]
    if "prepared" not in metafunc.fixturenames:
        metafunc.parametrize("case", [pytest.param(case, id=case.id, marks=_marks(config, case)) for case in cases])
        return
    parameters = [
        pytest.param((case.model, case.loaded), case, id=case.id, marks=_marks(config, case)) for case in cases
    ]
    metafunc.parametrize(("prepared", "case"), parameters, indirect=["prepared"], scope="session")


def all_cases(config: pytest.Config) -> list[Case]:
    """All cases of the run's study, methods and divisors; built once."""
    if CASES not in config.stash:
        study = config.stash[EXPERIMENT].study
        config.stash[CASES] = build_cases(study, *config.stash[CHOICES])
    return config.stash[CASES]


def case_of(item: pytest.Item) -> Case | None:
    """The case of a test item; None for an ordinary test."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("case") if callspec else None
    return found if isinstance(found, Case) else None


def case_by_node_id(config: pytest.Config, node_id: str) -> Case | None:
    """The case of a node id that a worker of pytest-xdist has collected; None for an ordinary test."""
    if _CASES_BY_ID not in config.stash:
        config.stash[_CASES_BY_ID] = {case.id: case for case in all_cases(config)}
    return config.stash[_CASES_BY_ID].get(node_id.partition("[")[2].rpartition("]")[0])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group cases by (model, level) across files; without a selection keep only the embedded model.

    Runs last, because levels are shuffled only if -k and -m have selected energy cases.
    """
    if is_resuming(config) and not any(item.id in (last_failed(config) or ()) for item in items):
        # The list comes from a run with another study, method or divisor; pytest would run all items.
        config.hook.pytest_deselected(items=items[:])
        items.clear()
    selected = {case.id for item in items if (case := case_of(item))}
    cases = [case for case in all_cases(config) if case.id in selected]
    experiment = config.stash[EXPERIMENT]
    start = starting_place(experiment.store.root, is_worker=hasattr(config, "workerinput"))
    order = {case.id: place for place, case in enumerate(run_order(cases, experiment.settings.seed, start))}
    items.sort(key=lambda item: order[found.id] if (found := case_of(item)) else -1)
    if is_default_selection(config):
        kept = [item for item in items if (case := case_of(item)) is None or case.model.is_embedded]
        dropped = [item for item in items if item not in set(kept)]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = kept
    for case in {case.group: case for item in items if (case := case_of(item))}.values():
        try:
            case.check_fits()
        except StudyError as error:
            raise pytest.UsageError(str(error)) from None
    config.stash[IS_SELECTED] = True


def is_default_selection(config: pytest.Config) -> bool:
    """Whether the user selected nothing: no -k, -m, path or node id, and no --lf with cases to resume."""
    if hasattr(config, "workerinput"):
        return bool(config.workerinput[DEFAULT_SELECTION_INPUT])
    selected = (
        config.getoption("keyword"),
        config.getoption("markexpr") != DEFAULT_MARKEXPR,
        config.args_source is pytest.Config.ArgsSource.ARGS,
        is_resuming(config),
    )
    return not any(selected)


def is_resuming(config: pytest.Config) -> bool:
    """Whether --lf is given and pytest's cache holds cases that have not passed."""
    return bool(config.getoption("lf", default=False) and last_failed(config))


def _marks(config: pytest.Config, case: Case) -> list[pytest.MarkDecorator]:
    marks = [getattr(pytest.mark, name) for name in case.marks]
    return [*marks, pytest.mark.xdist_group(case.group)] if config.pluginmanager.hasplugin("xdist") else marks
