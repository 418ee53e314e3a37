"""Session fixtures: the experiment, and the model of a (model, level), loaded and pruned once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glu_lib.cases import Case, Pruning
from glu_lib.errors import AccessError, GluError, RecordError
from glu_lib.experiment import Experiment
from glu_lib.prepared import PreparedModel
from glu_lib.pytest_plugin.options import EXPERIMENT
from glu_lib.pytest_plugin.progress import LINE_PROPERTY, SECONDS_PROPERTY, live_bars
from glu_lib.pytest_plugin.resume import FOLDER, announce, fail_once
from glu_lib.report import record_line
from glu_lib.study import ModelVariant

RunCase = Callable[..., dict[str, Any]]
TimePasses = Callable[[Case, PreparedModel, dict[str, Any]], None]


@pytest.fixture(scope="session")
def experiment(pytestconfig: pytest.Config) -> Experiment:
    """The run's experiment."""
    return pytestconfig.stash[EXPERIMENT]


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest, experiment: Experiment) -> Iterator[PreparedModel]:
    """The model variant at a level, shared by all its cases; freed before the next one is loaded."""
    variant: ModelVariant
    pruning: Pruning
    variant, pruning = request.param
    loading = experiment.prepared(variant, pruning)
    failure: GluError | None = None
    try:
        with live_bars(request.config):
            model = loading.__enter__()
    except GluError as error:
        failure = error
    if failure is not None:  # outside the handler, so that pytest prints the line once and no chain of exceptions
        cause = variant.key if isinstance(failure, AccessError) else f"{variant.key}-{pruning.key}"
        announce(request.config, cause, str(failure))
    try:
        yield model
    finally:
        loading.__exit__(None, None, None)


@pytest.fixture
def run_case(request: pytest.FixtureRequest, experiment: Experiment) -> RunCase:
    """Measure a case and write its record; an error that the user can mend is one line, no traceback."""

    def run(case: Case, model: PreparedModel | None = None) -> dict[str, Any]:
        message, is_unwritable = "", False
        try:
            with live_bars(request.config):
                record = experiment.run(case, model)
        except GluError as error:
            message, is_unwritable = str(error), isinstance(error, RecordError)
        # Outside the handler, so that pytest prints the line once and no chain of exceptions.
        if is_unwritable:
            fail_once(request.node, FOLDER, message)
        if message:
            pytest.fail(message, pytrace=False)
        request.node.user_properties.append((LINE_PROPERTY, record_line(record)))
        request.node.user_properties.append((SECONDS_PROPERTY, record["timing"]["duration_s"]))
        return record

    return run


@pytest.fixture
def time_passes(benchmark: Any, experiment: Experiment) -> TimePasses:
    """Let pytest-benchmark time whole passes of a workload's prompts, one per seed; joules stand in `extra_info`."""

    def run(case: Case, model: PreparedModel, record: dict[str, Any]) -> None:
        passes = experiment.passes(case, model)
        benchmark.group = f"{case.model.key} {case.subject_key}"
        benchmark.extra_info["level"] = case.pruning.key
        benchmark.extra_info["expansion_ratio"] = record["pruning"]["expansion_ratio"]
        benchmark.extra_info |= {name: summary["mean"] for name, summary in record["profile"].items()}
        benchmark.extra_info["energy_quality"] = record["repeats"][0]["energy"]["quality"]
        benchmark.pedantic(
            lambda run_pass: run_pass(), setup=lambda: ((next(passes),), {}), rounds=len(record["repeats"])
        )

    return run
