"""The suite's command-line options, and the experiment and session that they describe."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from glu_lib.errors import GluError
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, StudyFile, load_study
from glu_lib.study.asked import parse_level
from glu_lib.study.cases import build_cases
from glu_lib.study.choices import Choices
from glu_lib.study.layers import PercentOf
from glu_lib.study.methods import RANDOM_SEEDS
from glu_lib.study.settings import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_IDLE_S,
    DEFAULT_MIN_WINDOW_S,
    DIVISORS,
    DType,
    Scorer,
    Settings,
    Weights,
    given_folder,
    parse_dtype,
)

EXPERIMENT = pytest.StashKey[Experiment]()
SESSION = pytest.StashKey[Session]()
CHOICES = pytest.StashKey[Choices]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; `pytest_configure` checks their values."""
    parser.addini("glu_results_dir", "folder for records, samples and tables", default="results")
    parser.addini("glu_study", "a study file (TOML) that adds to or replaces the built-in study", default="")
    group = parser.getgroup("glu", "GLU width pruning benchmarks")
    group.addoption(
        "--results-dir",
        metavar="DIR",
        help="where records, samples and tables go (default: results; also the ini option glu_results_dir or the "
        "environment variable GLU_RESULTS_DIR; on Colab a folder on your Drive)",
    )
    group.addoption(
        "--limit",
        type=int,
        metavar="N",
        help="score at most N samples per task, or N prompts per workload; a limited run does not replace full results",
    )
    group.addoption(
        "--study",
        metavar="FILE",
        help="a study file (TOML) that adds models, tasks, workloads and suites to the built-in study or replaces them "
        "(also the ini option glu_study)",
    )
    group.addoption("--rerun", action="store_true", help="run finished cases again")
    group.addoption(
        "--method",
        action="append",
        metavar="NAME",
        help="how neurons are chosen: PPM (default; OptiPFair calls it MAW), PPM_down, VOW, PON, L2, hybrid, random "
        f"(seeds {', '.join(map(str, RANDOM_SEEDS))}; random:7 is one seed), or file:NAME.safetensors with scores of "
        "your own; may be repeated",
    )
    group.addoption(
        "--level",
        action="append",
        metavar="LEVEL",
        help="prune to this level, in place of the levels that the models declare (their p0 stays): 40 (per cent), "
        "2.4x (expansion ratio), 900M or 1.2B (parameters), 800MB or 1.8GB (bytes of the weights in the run's dtype); "
        "the width is the widest that has at most so much; may be repeated",
    )
    group.addoption(
        "--layers",
        action="append",
        metavar="SET",
        help="prune only these layers, counted from 0: 4,8,12 or 1-29 or 1- (to the last), -3- (the last three), "
        "-0,-29 (all but 0 and 29; write --layers=-0,-29), all (default); may be repeated",
    )
    group.addoption(
        "--percent-of",
        choices=[str(whole) for whole in PercentOf],
        help="with --layers, what a level is a percentage of: layer (default), each pruned layer loses so much; model, "
        "the pruned layers together lose so much of the neurons of all layers",
    )
    group.addoption(
        "--calibration",
        metavar="FILE",
        help="UTF-8 text that the method hybrid is calibrated on (default: wikitext's training split)",
    )
    group.addoption(
        "--divisor",
        action="append",
        type=int,
        metavar="N",
        help=f"round widths down to a multiple of N ({', '.join(map(str, DIVISORS))}); may be repeated",
    )
    group.addoption(
        "--controls",
        action="store_true",
        help="score the tasks also without MLP (level nomlp) and on random weights of the same shape (level "
        "untrained); controls are no points of a curve",
    )
    group.addoption("--dtype", metavar="TYPE", help=f"dtype of the weights: {', '.join(DType)} (default: by device)")
    group.addoption(
        "--device",
        metavar="DEVICE",
        help="cpu, cuda or cuda:N (default: a GPU if there is one; with -n N --dist loadgroup one per worker)",
    )
    group.addoption(
        "--batch-size",
        type=int,
        default=DEFAULT_BATCH_SIZE,
        metavar="N",
        help=f"sequences per forward pass (default {DEFAULT_BATCH_SIZE}; keep it fixed within a comparison)",
    )
    group.addoption(
        "--scorer",
        choices=[str(scorer) for scorer in Scorer],
        default=str(Scorer.FAST),
        help="fast: each distinct prefix is computed once (default); hf: lm-eval's own HFLM, for comparison",
    )
    group.addoption(
        "--min-window",
        type=float,
        default=DEFAULT_MIN_WINDOW_S,
        metavar="S",
        help=f"minimum energy window of a workload in seconds; the prompts are repeated until it is full (default "
        f"{DEFAULT_MIN_WINDOW_S:g})",
    )
    group.addoption(
        "--idle-seconds",
        type=float,
        default=DEFAULT_IDLE_S,
        metavar="S",
        help=f"seconds to measure idle power before the first workload (default {DEFAULT_IDLE_S:g}; 0: gross only)",
    )
    group.addoption(
        "--allow-shared",
        action="store_true",
        help="measure workloads although other processes use the GPU or the machine; the record notes it",
    )
    group.addoption(
        "--carbon-intensity",
        type=float,
        metavar="G",
        help="grams of CO2e per kilowatt hour at the location of the machine (default: no CO2e)",
    )
    group.addoption(
        "--country",
        metavar="ISO",
        help="three-letter code of the country of the machine, to take its mean carbon intensity from CodeCarbon",
    )
    group.addoption(
        "--weights",
        choices=[str(weights) for weights in Weights],
        default=str(Weights.REAL),
        help="random: random weights in the declared shape, if the real ones are not accessible; workloads only; "
        "records go to <results>/random_weights",
    )
    group.addoption(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads of torch (default: the fastest number, measured once per model in a second)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Create the experiment, so that a wrong value ends the run before collection."""
    try:
        settings = settings_from(config)
        chosen = study_from(config)
        if config.getoption("controls"):
            chosen = replace(chosen, study=replace(chosen.study, has_controls=True))
        if levels := config.getoption("level"):
            chosen = replace(chosen, study=chosen.study.with_levels([*map(parse_level, levels)]))
        choices = chosen.choices(
            methods=config.getoption("method"),
            divisors=config.getoption("divisor"),
            layers=config.getoption("layers"),
            percent_of=config.getoption("percent_of"),
        )
        config.stash[EXPERIMENT] = experiment = Experiment(settings, chosen.study)
        config.stash[CHOICES] = choices._replace(weight_bytes=experiment.environment.dtype.bytes)
        # A divisor that does not fit a model fails here with one line.
        build_cases(chosen.study, *config.stash[CHOICES])
        config.stash[SESSION] = Session(experiment)
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


def settings_from(config: pytest.Config) -> Settings:
    """The run's settings from options, environment and ini file, in that order.

    Raises:
        SettingsError: if a value is invalid.
    """
    dtype = config.getoption("dtype")
    return Settings(
        results_dir=_results_dir(config),
        limit=config.getoption("limit"),
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
