"""Fixtures: the experiment, the model of a (model, level), and the functions that run a case."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glu_lib.errors import DeviceError, GluError
from glu_lib.frontends.pytest_plugin.internals import item_of
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, SESSION
from glu_lib.frontends.pytest_plugin.progress import LINE_PROPERTY, LOAD_PROPERTY, SECONDS_PROPERTY, live_bars
from glu_lib.frontends.pytest_plugin.resume import announce, fail_once
from glu_lib.measure.prepared import PreparedModel
from glu_lib.results.records import EnergyRecord, Record
from glu_lib.run.experiment import Experiment
from glu_lib.run.plan import GPU, cause_for_all, cause_of_level
from glu_lib.study import ModelVariant
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

RunCase = Callable[..., Any]  # the record has the type of its case's kind
TimePasses = Callable[[Case, PreparedModel, EnergyRecord], None]


@pytest.fixture(scope="session")
def experiment(pytestconfig: pytest.Config) -> Experiment:
    """The run's experiment."""
    return pytestconfig.stash[EXPERIMENT]


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest) -> Iterator[PreparedModel]:
    """The pruned model of a level, shared by all cases of the level; freed before the next model is loaded."""
    session = request.config.stash[SESSION]
    variant: ModelVariant
    pruning: Pruning
    variant, pruning = request.param
    loading = session.prepared(variant, pruning)
    cause, message, details = "", "", ""
    try:
        with live_bars(request.config):
            model = loading.__enter__()
    except Exception as error:
        cause, (message, details) = cause_of_level(error, variant, pruning), _explain(error, variant, pruning)
    if cause:  # outside the handler: pytest prints no exception chain, and no frame keeps the model in memory
        session.experiment.guard.free()
        session.plan.blocked[cause] = GluError(message)
        announce(item_of(request), cause, message, details)
    try:
        yield model
    finally:
        _forget_last_failure()
        loading.__exit__(None, None, None)


def _explain(error: Exception, variant: ModelVariant, pruning: Pruning) -> tuple[str, str]:
    """Why a model could not be prepared, in one line; and a traceback if the error is not a GluError."""
    if isinstance(error, GluError):
        return str(error), ""
    what = traceback.format_exception_only(error)[-1].strip()
    message = f"{variant.key}-{pruning.key} could not be prepared: {what}"
    return message, "".join(traceback.format_exception(error))


def _forget_last_failure() -> None:
    """Drop the last exception that Python keeps for debuggers: its frames keep the model in memory."""
    error = getattr(sys, "last_value", None)
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


@pytest.fixture
def run_case(request: pytest.FixtureRequest) -> RunCase:
    """Measure a case and write its record; an error that the user can fix is one line without a traceback."""
    session = request.config.stash[SESSION]

    def run(case: Case, model: PreparedModel | None = None) -> Record:
        message, cause = "", None
        try:
            with live_bars(request.config):
                record = session.measure(case, model)
        except GluError as error:
            message, cause = str(error), cause_for_all(error)
        # Outside the handler, so that pytest prints no exception chain.
        if cause:
            session.plan.blocked[cause] = GluError(message)
            fail_once(request.node, cause, message)
        if message:
            pytest.fail(message, pytrace=False)
        from glu_lib.report import record_line  # not before a case has run: see summary.py

        request.node.user_properties.append((LINE_PROPERTY, record_line(record)))
        request.node.user_properties.append((SECONDS_PROPERTY, record.timing.duration_s))
        if model is not None:
            load_s = model.loaded.load_s + model.pruning.prune_s
            request.node.user_properties.append((LOAD_PROPERTY, load_s))
        return record

    return run


@pytest.fixture
def time_passes(request: pytest.FixtureRequest, benchmark: Any) -> TimePasses:
    """Let pytest-benchmark time full passes over a workload's prompts, one per seed; `extra_info` holds joules."""
    session = request.config.stash[SESSION]

    def run(case: Case, model: PreparedModel, record: EnergyRecord) -> None:
        from glu_lib.analysis.efficiency import energy_quality  # not before a case has run: see summary.py

        benchmark.group = f"{case.model.key} {case.subject_key}"
        benchmark.extra_info["level"] = case.pruning.key
        benchmark.extra_info["expansion_ratio"] = record.pruning.expansion_ratio
        benchmark.extra_info |= {name: summary.mean for name, summary in record.profile.figures()}
        benchmark.extra_info["energy_quality"] = energy_quality(record.repeats)
        message = ""
        try:
            with session.experiment.guard.using():
                functions = session.measuring.energy.pass_functions(case, model)
                benchmark.pedantic(
                    lambda run_pass: run_pass(), setup=lambda: ((next(functions),), {}), rounds=len(record.repeats)
                )
        except DeviceError as error:
            message = str(error)
        if message:
            session.plan.blocked[GPU] = DeviceError(message)
            announce(request.node, GPU, message)

    return run
