"""The study from a notebook or a script, without pytest: run cases, consolidate records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.cases import Case, CaseKind, build_cases, run_order
from glu_lib.errors import StudyError
from glu_lib.experiment import Experiment
from glu_lib.settings import Settings
from glu_lib.store import read_record

if TYPE_CHECKING:
    import pandas


def run_evaluation(
    model: str, suite: str, *, levels: Sequence[int] | None = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Score a model variant on a suite at its pruning levels; finished cases are read, not run again.

    Args:
        model: key of a model variant, as `nano`.
        suite: key of a suite of tasks, as `embedded` or `paper`.
        levels: pruning percentages; None takes all the variant's.
        settings: the run's choices; None takes the defaults.

    Returns:
        One record (a dictionary of JSON values) per case, in the study's order.

    Raises:
        GluError: a subclass of it, one line with value, rule and remedy.
    """
    experiment = Experiment(settings or Settings())
    experiment.study.suite(suite)
    cases = [
        case for case in _cases(experiment, model, levels) if suite in case.suites and case.kind is CaseKind.ACCURACY
    ]
    if not cases:
        raise StudyError(
            f"suite {suite!r} has no tasks for model {model!r}; `python -m glu_lib list` shows what there is"
        )
    return _run(experiment, cases)


def run_carbon_analysis(
    model: str, workload: str, *, levels: Sequence[int] | None = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Run a generation workload of the energy suite on a model variant at its pruning levels.

    Args, returns and errors as `run_evaluation`; `workload` is a key such as `facts_latency_b1`.
    """
    experiment = Experiment(settings or Settings())
    experiment.study.workload(workload)
    cases = [case for case in _cases(experiment, model, levels) if case.subject_key == workload]
    if not cases:
        raise StudyError(f"workload {workload!r} is not for model {model!r}; embedded models run their own prompts")
    return _run(experiment, cases)


def consolidate_results(results_dir: str | Path = "results") -> pandas.DataFrame:
    """Read all records below `results_dir`, write the tables (CSV, JSON, Parquet) there, return the table.

    Raises:
        RecordError: if there is no such folder.
    """
    import warnings

    import pandas

    from glu_lib.analysis import COLUMNS, conclude, write_tables

    found = conclude(Path(results_dir))
    for problem in found.problems:
        warnings.warn(problem, stacklevel=2)
    write_tables(Path(results_dir), found.rows)
    return pandas.DataFrame(found.rows, columns=list(COLUMNS))


def _cases(experiment: Experiment, model: str, levels: Sequence[int] | None) -> list[Case]:
    variant = experiment.study.model(model)
    if levels is not None and (isinstance(levels, int | str) or not levels):
        raise StudyError(f"levels {levels!r}: must be a list of pruning percentages, as [0, 40]; leave it out for all")
    for level in levels or ():
        if level not in variant.levels:
            raise StudyError(
                f"level {level} is not declared for model {model!r}; choose from {', '.join(map(str, variant.levels))}"
            )
    return [
        case
        for case in build_cases(experiment.study)
        if case.model.key == model and (levels is None or case.pruning.percent in levels)
    ]


def _run(experiment: Experiment, cases: list[Case]) -> list[dict[str, Any]]:
    """Run what is not done, one load per (model, level), with a progress bar; return every case's record."""
    from tqdm.auto import tqdm

    bar = tqdm(total=len(cases), unit="case")
    experiment.expect([case for case in cases if not experiment.is_done(case)])
    for _, members in groupby(run_order(cases, experiment.settings.seed), key=lambda case: case.group):
        group = list(members)
        pending = [case for case in group if not experiment.is_done(case)]
        bar.update(len(group) - len(pending))
        if not pending:
            continue
        with experiment.prepared(pending[0].model, pending[0].pruning) as prepared:
            for case in pending:
                bar.set_description(case.id)
                experiment.run(case, prepared)
                bar.update()
    bar.close()
    return [read_record(experiment.state(case).path) for case in cases]
