"""Declares the suite's command-line options and its settings of pytest.ini; `options.py` reads them."""

from __future__ import annotations

import pytest

from glu_lib.study.items import LimitFrom
from glu_lib.study.layers import PercentOf
from glu_lib.study.methods import RANDOM_SEEDS
from glu_lib.study.settings import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_IDLE_S,
    DEFAULT_MIN_WINDOW_S,
    DIVISORS,
    DType,
    Scorer,
    Weights,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; `pytest_configure` checks their values."""
    parser.addini("glu_results_dir", "folder for records, samples and tables", default="results")
    parser.addini("glu_study", "a study file (TOML) that adds to or replaces the built-in study", default="")
    group = parser.getgroup("glu", "GLU width pruning benchmarks")
    for add in (_add_selection, _add_pruning, _add_computing, _add_energy, _add_machines):
        add(group)


def _add_selection(group: pytest.OptionGroup) -> None:
    """What is scored, and where the results go."""
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
        "--limit-from",
        choices=[str(place) for place in LimitFrom],
        default=str(LimitFrom.START),
        help="which samples --limit takes: start, the first ones of the data set (default); spread, in equal steps "
        "over the whole data set",
    )
    group.addoption(
        "--samples",
        metavar="FILE",
        help="score only the samples that a JSON file lists, as lm-eval's --samples: tasks with their indices; a task "
        "that it does not name is scored whole",
    )
    group.addoption(
        "--study",
        metavar="FILE",
        help="a study file (TOML) that adds models, tasks, workloads and suites to the built-in study or replaces them "
        "(also the ini option glu_study)",
    )
    group.addoption("--rerun", action="store_true", help="run finished cases again")


def _add_pruning(group: pytest.OptionGroup) -> None:
    """How models are pruned."""
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


def _add_computing(group: pytest.OptionGroup) -> None:
    """How scores are computed."""
    group.addoption("--dtype", metavar="TYPE", help=f"dtype of the weights: {', '.join(DType)} (default: by device)")
    group.addoption(
        "--device",
        metavar="DEVICE",
        help="cpu, cuda, cuda:N or mps (default: cuda if there is one; with -n N --dist loadgroup one per worker)",
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


def _add_energy(group: pytest.OptionGroup) -> None:
    """How energy is measured, and at which place."""
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


def _add_machines(group: pytest.OptionGroup) -> None:
    """What else is read and written, and on which machines."""
    group.addoption(
        "--weights",
        choices=[str(weights) for weights in Weights],
        default=str(Weights.REAL),
        help="random: random weights in the declared shape, if the real ones are not accessible; workloads only; "
        "records go to <results>/random_weights",
    )
    group.addoption(
        "--no-lm-eval-files",
        action="store_true",
        help="do not write lm-eval's own results and samples files (folder lm_eval), which hold every prompt in full "
        "and take most of the space; without them the report shows no prompts and options of items, tables no length "
        "of answers that a filter cut, and glu export writes no items",
    )
    group.addoption(
        "--cluster",
        metavar="ADDRESS",
        help="run the cases on the machines of the Ray cluster that this machine is part of, whole (model, level) "
        "groups on one GPU each: auto, or HOST:PORT of its head; needs the extra cluster",
    )
    group.addoption(
        "--cluster-cpus",
        type=int,
        metavar="N",
        help="CPUs of each worker of a cluster (default: the CPUs of a node, shared by its GPUs)",
    )
    group.addoption(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads of torch (default: the fastest number, measured once per model, in seconds)",
    )
