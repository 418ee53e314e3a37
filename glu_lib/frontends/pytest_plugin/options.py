"""The experiment and session that the command-line options describe; `declared_options.py` declares them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from glu_lib.errors import GluError
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, Study, StudyFile, load_study
from glu_lib.study.asked import parse_level
from glu_lib.study.cases import build_cases
from glu_lib.study.choices import Choices
from glu_lib.study.items import LimitFrom, SampleFile
from glu_lib.study.settings import Scorer, Settings, Weights, given_folder, parse_dtype

EXPERIMENT = pytest.StashKey[Experiment]()
SESSION = pytest.StashKey[Session]()
CHOICES = pytest.StashKey[Choices]()
GIVEN = pytest.StashKey["Given"]()  # set in a worker of a cluster, which gets values in place of words
OWN_SHAPES_INPUT = "glu_own_shapes"  # sent by the controller: another worker may have downloaded a configuration since
STUDY_NOTES = pytest.StashKey[tuple[str, ...]]()  # what the study file left open and the suite decided


class Given(NamedTuple):
    """Settings and study that the driver of a cluster has made from the command line."""

    settings: Settings
    study: Study


def pytest_configure(config: pytest.Config) -> None:
    """Create the experiment, so that a wrong value ends the run before collection."""
    try:
        given = config.stash.get(GIVEN, None)
        experiment = Experiment(*given, own_shapes=()) if given else _experiment(config)
        config.stash[EXPERIMENT], config.stash[SESSION] = experiment, Session(experiment)
    except GluError as error:
        raise pytest.UsageError(str(error)) from None
    config.addinivalue_line("markers", "cases_of(kind): parametrize `case` over the study's cases of this kind")
    for suite in experiment.study.suites.values():
        config.addinivalue_line("markers", f"{suite.key}: {suite.description}")
    config.addinivalue_line("markers", "star: levels at an expansion ratio of 2.4x")
    config.addinivalue_line("markers", "speed: benchmarks of the suite itself; they run only with -m")
    config.addinivalue_line("markers", "scoring: benchmarks of the two scorers; a part of speed")
    config.addinivalue_line("markers", "gpu: models of more than half a billion parameters")
    config.addinivalue_line("markers", "slow: tasks that take minutes or more per level on a small GPU")


def _experiment(config: pytest.Config) -> Experiment:
    """The experiment of the command line; sets the notes on the study and the choices of levels."""
    chosen = study_from(config)
    settings = settings_from(config, chosen.study)
    if config.getoption("controls"):
        chosen = replace(chosen, study=replace(chosen.study, has_controls=True))
    if levels := config.getoption("level"):
        chosen = replace(chosen, study=chosen.study.with_levels([*map(parse_level, levels)]))
    config.stash[STUDY_NOTES] = chosen.notes
    choices = chosen.choices(
        methods=config.getoption("method"),
        divisors=config.getoption("divisor"),
        layers=config.getoption("layers"),
        percent_of=config.getoption("percent_of"),
    )
    own_shapes = getattr(config, "workerinput", {}).get(OWN_SHAPES_INPUT)
    experiment = Experiment(settings, chosen.study, own_shapes)
    config.stash[CHOICES] = choices.weighing(experiment.environment.dtype.bytes)
    # A divisor or a layer set that does not fit a model fails here with one line.
    build_cases(experiment.study, *config.stash[CHOICES])
    return experiment


def settings_from(config: pytest.Config, study: Study) -> Settings:
    """The run's settings from options, environment and ini file, in that order.

    A file of samples names tasks of `study`.

    Raises:
        SettingsError: if a value is invalid.
    """
    dtype = config.getoption("dtype")
    return Settings(
        results_dir=_results_dir(config),
        limit=config.getoption("limit"),
        limit_from=LimitFrom(config.getoption("limit_from")),
        samples=SampleFile.read(Path(given).expanduser(), study.tasks)
        if (given := config.getoption("samples"))
        else None,
        rerun=config.getoption("rerun"),
        dtype=parse_dtype(dtype) if dtype else None,
        device=config.getoption("device"),
        batch_size=config.getoption("batch_size"),
        scorer=Scorer(config.getoption("scorer")),
        threads=config.getoption("threads"),
        min_window_s=config.getoption("min_window"),
        idle_s=config.getoption("idle_seconds"),
        allow_shared=config.getoption("allow_shared"),
        carbon_intensity=config.getoption("carbon_intensity"),
        country=config.getoption("country"),
        weights=Weights(config.getoption("weights")),
        calibration=Path(given).expanduser() if (given := config.getoption("calibration")) else None,
        lm_eval_files=not config.getoption("no_lm_eval_files"),
    )


def study_from(config: pytest.Config) -> StudyFile:
    """The built-in study, changed by the user's study file if one is given.

    Raises:
        StudyError: if the study file is invalid.
    """
    if given := config.getoption("study"):
        return load_study(Path(given).expanduser(), STUDY)
    if by_ini := str(config.getini("glu_study")):
        return load_study(config.rootpath / by_ini, STUDY)
    return StudyFile(STUDY)


def _results_dir(config: pytest.Config) -> Path:
    """The results folder; relative to the working directory if set by option or environment, to the root if by ini."""
    given = config.getoption("results_dir")
    if given is None:
        given = os.environ.get("GLU_RESULTS_DIR") or None
    if given is not None:
        return given_folder(given).absolute()
    return config.rootpath / str(config.getini("glu_results_dir"))
