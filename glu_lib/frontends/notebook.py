"""Runs cases and consolidates records from a notebook or a script, without pytest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError, RecordError, StudyError
from glu_lib.frontends.bars import bars_as_lines
from glu_lib.results.record import read_record
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.run.starting_place import starting_place
from glu_lib.study import Method, StudyFile
from glu_lib.study.asked import Asked, parse_level
from glu_lib.study.cases import Case, CaseKind, build_cases, run_order
from glu_lib.study.choices import Choices
from glu_lib.study.layers import ALL
from glu_lib.study.settings import Settings

if TYPE_CHECKING:
    import pandas


def run_evaluation(
    model: str,
    suite: str,
    *,
    levels: Sequence[int | str] | None = None,
    methods: Sequence[str] = (Method.PPM,),
    layers: Sequence[str] = (ALL,),
    settings: Settings | None = None,
) -> list[dict[str, Any]]:
    """Score a model variant on a suite at its pruning levels; finished cases are not run again.

    Args:
        model: key of a model variant, such as `nano`.
        suite: key of a suite of tasks, such as `embedded` or `paper`.
        levels: pruning percentages that the variant declares, or what is wanted, as `2.4x`, `900M`, `1.8GB`; None takes
            all levels of the variant.
        methods: pruning methods as for `--method`; `random` stands for several seeds.
        layers: layer sets as for `--layers`.
        settings: settings of the run; None takes the defaults.

    Returns:
        One record (a dictionary of JSON values) per case, in the study's order.

    Raises:
        GluError: one of its subclasses; the message is one line with value, rule and remedy.
    """
    experiment = Experiment(settings or Settings())
    experiment.study.suite(suite)
    cases = [
        case
        for case in _cases(
            experiment, model, levels, StudyFile(experiment.study).choices(methods=methods, layers=layers)
        )
        if suite in case.suites and case.kind is CaseKind.ACCURACY
    ]
    for case in cases:
        case.check_fits()
    if not cases:
        raise StudyError(f"suite {suite!r} has no tasks for model {model!r}; `glu list` shows all cases")
    return _run(experiment, cases)


def run_carbon_analysis(
    model: str, workload: str, *, levels: Sequence[int | str] | None = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Run a generation workload of the energy suite on a model variant at its pruning levels.

    Arguments, result and errors are those of `run_evaluation`; `workload` is a key such as `facts_latency_b1`.
    """
    experiment = Experiment(settings or Settings())
    experiment.study.workload(workload)
    cases = [case for case in _cases(experiment, model, levels) if case.subject_key == workload]
    for case in cases:
        case.check_fits()
    if not cases:
        raise StudyError(f"workload {workload!r} is not for model {model!r}; embedded models have their own workloads")
    return _run(experiment, cases)


def consolidate_results(results_dir: str | Path = "results") -> pandas.DataFrame:
    """Read all records below `results_dir`, write the tables (CSV, JSON, Parquet) there, return the table.

    Raises:
        RecordError: if the folder does not exist.
    """
    import warnings

    import pandas

    from glu_lib.analysis import COLUMNS, conclude, write_tables

    found = conclude(Path(results_dir), remember=True)
    for problem in found.problems:
        warnings.warn(problem, stacklevel=2)
    write_tables(Path(results_dir), found.rows)
    return pandas.DataFrame(found.rows, columns=list(COLUMNS))


def _cases(
    experiment: Experiment, model: str, levels: Sequence[int | str] | None, choices: Choices | None = None
) -> list[Case]:
    study, variant = experiment.study, experiment.study.model(model)
    if levels is not None and (isinstance(levels, int | str) or not levels):
        raise StudyError(
            f"levels {levels!r}: must be a list of pruning percentages such as [0, 40], or of texts as '2.4x'; "
            "leave it out for all levels"
        )
    wanted = [parse_level(level) if isinstance(level, str) else level for level in levels or ()]
    for level in wanted:
        if not isinstance(level, Asked) and level not in variant.levels:
            raise StudyError(
                f"level {level} is not declared for model {model!r}; choose from {', '.join(map(str, variant.levels))}"
            )
    if wanted:
        study = study.with_levels(wanted)
    choices = (choices or Choices()).weighing(experiment.environment.dtype.bytes)
    return [
        case
        for case in build_cases(study, *choices)
        if case.model.key == model and (case.pruning.percent != 0 or not wanted or 0 in wanted)
    ]


def _run(experiment: Experiment, cases: list[Case]) -> list[dict[str, Any]]:
    """Run the unfinished cases, one load per (model, level), with a progress bar; return the record of every case.

    Cases that another run on the same results folder is measuring come last; this run then waits for them. A case that
    fails does not stop the others.
    """
    from tqdm.auto import tqdm

    session, failures = Session(experiment), list[MeasurementError]()
    session.begin(run_order(cases, experiment.settings.seed, starting_place(experiment.store.root)))
    for error in session.plan.blocked.values():
        raise error
    pending = list(session.plan.pending.values())
    try:
        with bars_as_lines(), tqdm(total=len(cases), initial=len(cases) - len(pending), unit="case") as bar:
            for claim in (session.claim, session.wait_for):
                levels = [list(members) for _, members in groupby(pending, key=lambda case: case.group)]
                pending = [case for level in levels for case in _run_level(session, level, claim, bar, failures)]
    finally:
        session.end()
    if failures:
        more = f" ({len(failures) - 1} more cases failed; call again to try them)" if len(failures) > 1 else ""
        raise MeasurementError(f"{failures[0]}{more}")
    if pending:
        raise RecordError(
            f"{pending[0].id}: another run on this results folder is measuring it; call again when that run has ended"
        )
    return [read_record(session.plan.states[case.id].path).as_json() for case in cases]


def _run_level(
    session: Session, cases: list[Case], claim: Callable[[Case], bool], bar: Any, failures: list[MeasurementError]
) -> list[Case]:
    """Run the cases of one (model, level) that can be claimed; return those that another run is measuring.

    The error of a case that fails is appended to `failures`.
    """
    put_off, model = [], None
    with ExitStack() as stack:
        for case in cases:
            if not claim(case):
                put_off.append(case)
                continue
            if cause := session.cause(case):
                raise session.plan.blocked[cause]
            if not session.plan.is_done(case):
                bar.set_description(case.id)
                model = model or stack.enter_context(session.prepared(case.model, case.loaded))
                try:
                    session.measure(case, model)
                except MeasurementError as error:
                    failures.append(MeasurementError(f"{case.id}: {error}"))
            session.give_back(case)
            bar.update(1)
    return put_off
