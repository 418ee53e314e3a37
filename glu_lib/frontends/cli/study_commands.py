"""Commands on the study: list, validate, push, save."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from glu_lib.errors import SettingsError, StudyError, one_line
from glu_lib.frontends import push as hub
from glu_lib.frontends.cli import listing
from glu_lib.frontends.cli.printing import EXIT_PROBLEMS, print_table
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, ModelVariant, StudyFile, load_study
from glu_lib.study.asked import Asked, parse_level
from glu_lib.study.cases import Case, build_cases
from glu_lib.study.items import LimitFrom, SampleFile
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning
from glu_lib.study.selection import ARCHITECTURE
from glu_lib.study.settings import Settings, parse_dtype


def experiment_of(options: argparse.Namespace) -> Experiment:
    """The experiment with the study and the results folder of the arguments."""
    dtype = parse_dtype(given) if (given := getattr(options, "dtype", None)) else None
    study = _study_file_of(options).study
    settings = Settings(
        options.results_dir,
        options.limit,
        limit_from=getattr(options, "limit_from", LimitFrom.START),
        samples=SampleFile.read(given, study.tasks) if (given := getattr(options, "samples", None)) else None,
        dtype=dtype,
    )
    return Experiment(settings, study)


def _study_file_of(options: argparse.Namespace) -> StudyFile:
    """The study of the arguments, with their levels in place of the declared ones."""
    found = load_study(options.study, STUDY) if options.study else StudyFile(STUDY)
    given = getattr(options, "level", None)
    if not isinstance(given, list):
        return found
    return replace(found, study=found.study.with_levels([*map(parse_level, given)]))


def list_cases(options: argparse.Namespace) -> int:
    """Print case counts by status for each level, and the models; with --stale only stale cases and their reasons."""
    experiment = experiment_of(options)
    chosen = _study_file_of(options)
    for note in chosen.notes:
        print(one_line(note), file=sys.stderr)
    choices = chosen.choices(
        methods=options.method, divisors=options.divisor, layers=options.layers, percent_of=options.percent_of
    )
    choices = choices.weighing(experiment.environment.dtype.bytes)
    if not options.results_dir.is_dir():
        print(f"folder {options.results_dir} does not exist: no case is done", file=sys.stderr)
    has_controls = options.controls or experiment.study.has_controls
    cases = build_cases(replace(experiment.study, has_controls=has_controls), *choices)
    cases, unfit = _that_fit(cases)
    for line in unfit:
        print(f"left out: {one_line(line)}", file=sys.stderr)
    states = {case: experiment.states.listed(case) for case in cases}
    if options.stale:
        stale = [f"{case.id}: {found.reason}" for case, found in states.items() if found.status is Status.STALE]
        for line in stale or ["no stale case"]:
            print(one_line(line))
        return 0
    print_table(listing.MATRIX_COLUMNS, listing.matrix_rows(states))
    print(listing.MATRIX_NOTE)
    if at_work := list(listing.work_rows(options.results_dir)):
        print_table(listing.WORK_COLUMNS, at_work)
    print_table(listing.MODEL_COLUMNS, listing.model_rows(experiment.study.models))
    return 0


def _that_fit(cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
    """The cases whose layer set and level fit their model, and one line for each level that does not.

    Raises:
        StudyError: if none of them fits a model.
    """
    fitting, unfit = [], dict[tuple[str, str], str]()
    for case in cases:
        try:
            case.check_fits()
        except StudyError as error:
            unfit.setdefault((case.model.key, str(case.pruning.asked or case.group)), str(error))
        else:
            fitting.append(case)
    if unfit and not any(case.pruning.layers or case.pruning.asked for case in fitting):
        raise StudyError(next(iter(unfit.values())))
    return fitting, list(unfit.values())


def validate_models(options: argparse.Namespace) -> int:
    """Check what a long run needs; print one line per check."""
    experiment = experiment_of(options)
    for note in _study_file_of(options).notes:
        print(one_line(f"note     {note}"), flush=True)
    keys = options.model or list(experiment.study.models)
    findings = validate(experiment, [experiment.study.model(key) for key in keys])
    is_fine = True
    for finding in findings:
        is_fine &= finding.is_fine
        line = one_line(f"{finding.subject}: {finding.text}")
        print(f"{'ok     ' if finding.is_fine else 'problem'}  {line}", flush=True)
    return 0 if is_fine else EXIT_PROBLEMS


def push(options: argparse.Namespace) -> int:
    """Upload the results, or prune and upload a model; print the URL of the commit."""
    if options.model is None:
        if options.percent is not None or options.level is not None:
            given = f"--percent {options.percent}" if options.level is None else f"--level {options.level}"
            raise StudyError(f"{given} applies to a pruned model; name it with --model KEY")
        print(hub.push_results(options.results_dir, options.repo_id))
        return 0
    experiment = experiment_of(options)
    variant, pruning = _pruned(options, experiment)
    print(hub.push_model(experiment, variant, pruning, options.repo_id))
    return 0


def save(options: argparse.Namespace) -> int:
    """Prune a model and save it; print the folder, and the lines of a study file that compare it with its baseline."""
    folder = options.folder.expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"--folder {folder}: is there already, and not empty; name a new folder")
    experiment = experiment_of(options)
    variant, pruning = _pruned(options, experiment)
    with experiment.levels.prepared(variant, pruning) as prepared:
        try:
            prepared.loaded.save(str(folder))
        except OSError as error:
            raise SettingsError(
                f"--folder {folder}: cannot be written ({error.strerror}); check free space and permissions"
            ) from error
    print(folder)
    lines = [
        "[models.recovered]",
        f"source = {json.dumps(str(folder.absolute()))}",
        f'baseline = "{variant.baseline or variant.key}"',
    ]
    if pruning.selects and pruning.layers is None:
        lines.append(f"level = {json.dumps(str(pruning.asked)) if pruning.asked else pruning.percent}")
    print("\n".join(lines))
    return 0


def _pruned(options: argparse.Namespace, experiment: Experiment) -> tuple[ModelVariant, Pruning]:
    """The model and the pruning of the arguments.

    Raises:
        StudyError: if the model has no such level.
    """
    variant = experiment.study.model(options.model)
    level = options.percent if options.level is None else parse_level(options.level)
    if not isinstance(level, Asked) and level not in variant.levels:
        levels = ", ".join(map(str, variant.levels))
        raise StudyError(f"--percent {level}: not a level of model {variant.key}; choose one of {levels}")
    found = Selection.parse_one(options.method)
    pruning = Pruning(
        0 if isinstance(level, Asked) else level,
        found.method,
        layers=Layers.parse(options.layers),
        percent_of=PercentOf(options.percent_of),
        seed=found.seed,
        scores=found.scores,
    )
    if isinstance(level, Asked):
        pruning = pruning.to(level, variant.architecture, experiment.environment.dtype.bytes)
        Case(variant, pruning, ARCHITECTURE).check_fits()
    return variant, pruning
