"""Fixtures: the experiment, the model of a (model, level), and the functions that run a case."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glu_lib.analysis.efficiency import energy_quality
from glu_lib.errors import AccessError, CalibrationError, DeviceError, GluError, RecordError
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.frontends.pytest_plugin.progress import LINE_PROPERTY, SECONDS_PROPERTY, live_bars
from glu_lib.frontends.pytest_plugin.resume import GPU, RESULTS_FOLDER, announce, calibration_text, fail_once
from glu_lib.measure.prepared import PreparedModel
from glu_lib.report import record_line
from glu_lib.results.records import EnergyRecord, Record
from glu_lib.run.experiment import Experiment
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
def prepared(request: pytest.FixtureRequest, experiment: Experiment) -> Iterator[PreparedModel]:
    """The pruned model of a level, shared by all cases of the level; freed before the next model is loaded."""
    variant: ModelVariant
    pruning: Pruning
    variant, pruning = request.param
    loading = experiment.prepared(variant, pruning)
    failure: tuple[str, ...] = ()
    try:
        with live_bars(request.config):
            model = loading.__enter__()
    except Exception as error:
        failure = _explain(error, variant, pruning)
    if failure:  # outside the handler: pytest prints no exception chain, and no frame keeps the model in memory
        experiment.guard.free()
        announce(request._pyfuncitem, *failure)
    try:
        yield model
    finally:
        _forget_last_failure()
        loading.__exit__(None, None, None)


def _explain(error: Exception, variant: ModelVariant, pruning: Pruning) -> tuple[str, ...]:
    """Describe why a model could not be prepared.

    Returns:
        The cause that blocks its cases, the error in one line, and a traceback if the error is not a GluError.
    """
    level = f"{variant.key}-{pruning.key}"
    if isinstance(error, DeviceError):
        return GPU, str(error)
    if isinstance(error, CalibrationError):
        return calibration_text(variant), str(error)
    if isinstance(error, GluError):
        return variant.key if isinstance(error, AccessError) else level, str(error)
    what = traceback.format_exception_only(error)[-1].strip()
    return level, f"{level} could not be prepared: {what}", "".join(traceback.format_exception(error))


def _cause_for_all(error: GluError) -> str:
    """The cause that blocks all cases after this error; empty if the error concerns only one case."""
    return {DeviceError: GPU, RecordError: RESULTS_FOLDER}.get(type(error), "")


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
def run_case(request: pytest.FixtureRequest, experiment: Experiment) -> RunCase:
    """Measure a case and write its record; an error that the user can fix is one line without a traceback."""

    def run(case: Case, model: PreparedModel | None = None) -> Record:
        message, cause = "", ""
        try:
            with live_bars(request.config):
                record = experiment.run(case, model)
        except GluError as error:
            message, cause = str(error), _cause_for_all(error)
        # Outside the handler, so that pytest prints no exception chain.
        if cause:
            fail_once(request.node, cause, message)
        if message:
            pytest.fail(message, pytrace=False)
        request.node.user_properties.append((LINE_PROPERTY, record_line(record)))
        request.node.user_properties.append((SECONDS_PROPERTY, record.timing.duration_s))
        return record

    return run


@pytest.fixture
def time_passes(request: pytest.FixtureRequest, benchmark: Any, experiment: Experiment) -> TimePasses:
    """Let pytest-benchmark time full passes over a workload's prompts, one per seed; `extra_info` holds joules."""

    def run(case: Case, model: PreparedModel, record: EnergyRecord) -> None:
        benchmark.group = f"{case.model.key} {case.subject_key}"
        benchmark.extra_info["level"] = case.pruning.key
        benchmark.extra_info["expansion_ratio"] = record.pruning.expansion_ratio
        benchmark.extra_info |= {name: summary.mean for name, summary in record.profile.figures()}
        benchmark.extra_info["energy_quality"] = energy_quality(record.repeats)
        message = ""
        try:
            with experiment.guard.using():
                functions = experiment.pass_functions(case, model)
                benchmark.pedantic(
                    lambda run_pass: run_pass(), setup=lambda: ((next(functions),), {}), rounds=len(record.repeats)
                )
        except DeviceError as error:
            message = str(error)
        if message:
            announce(request.node, GPU, message)

    return run
