"""Commands on study and records: list, validate, consolidate, report, compare, table, export, push; lm_eval."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glu_lib.analysis import Conclusions, conclude, conclude_published, headline_tables, workload_tables, write_tables
from glu_lib.analysis.published.comparison import MODEL_KEYS
from glu_lib.analysis.published.restated import ENERGY_TABLES, energy_restated
from glu_lib.errors import GluError, RecordError, SettingsError, StudyError, one_line
from glu_lib.frontends import push as hub
from glu_lib.frontends.bars import bars_as_lines
from glu_lib.frontends.cli import listing
from glu_lib.report import markdown_alignment, markdown_name, markdown_table, number, report_data, write_report
from glu_lib.report.listings import Listing, beside_listing, restated_listing
from glu_lib.report.optimum import FOLDER, export_records
from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER
from glu_lib.results.record import read_record
from glu_lib.results.staleness import Status
from glu_lib.results.store import Store
from glu_lib.run.case_state import case_state
from glu_lib.run.experiment import Experiment
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, Method, StudyFile, load_study
from glu_lib.study.cases import Pruning, build_cases
from glu_lib.study.settings import Settings, check_divisor, given_folder

EXIT_PROBLEMS = 1  # something was left out, unreadable or not ready
EXIT_USAGE = 2
EXIT_STOPPED = 130  # as a shell tells of Ctrl-C
EXIT_PIPE = 141  # as a shell tells of a tool whose reader has gone
_WIDE = 250  # columns


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 fine, 1 with problems that were named, 2 wrong use."""
    try:
        try:
            with bars_as_lines():
                return _run(arguments)
        finally:
            sys.stdout.flush()  # here, and not when the interpreter ends: the reader may have gone
    except BrokenPipeError:
        # What is still to be written when the interpreter ends must not meet the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED


def _run(arguments: Sequence[str] | None) -> int:
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command is not _lm_eval:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        if options.command is not _lm_eval:
            options.results_dir = _results_dir(options)
        return int(options.command(options))
    except GluError as error:
        print(one_line(str(error)), file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m glu_lib", description="Study and records of the GLU width pruning suite."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("list", help="what there is to run, and what of it is done, stale or pending")
    _add_run_options(command)
    command.add_argument("--method", action="append", metavar="NAME", help="cases of this method; may be repeated")
    command.add_argument("--divisor", action="append", type=int, metavar="N", help="cases of this divisor; as above")
    command.add_argument("--stale", action="store_true", help="name each stale case and why it is stale")
    command.set_defaults(command=_list)

    command = commands.add_parser("validate", help="check access, download, disk, memory and tasks before a long run")
    _add_run_options(command)
    command.add_argument("--model", action="append", metavar="KEY", help="only this model; may be repeated")
    command.set_defaults(command=_validate)

    command = commands.add_parser("consolidate", help="write results.csv, .json and .parquet from the records")
    _add_results_dir(command)
    _add_published(command)
    command.set_defaults(command=_consolidate)

    command = commands.add_parser("report", help="write report/index.html and its figures as SVG and PNG")
    _add_results_dir(command)
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="the study file of the runs, to know what is missing"
    )
    _add_published(command)
    command.set_defaults(command=_write_report)

    command = commands.add_parser("compare", help="own scores beside the published ones; published energies in joules")
    _add_results_dir(command)
    command.set_defaults(command=_compare)

    command = commands.add_parser("table", help="print headline metrics per level as Markdown")
    _add_results_dir(command)
    _add_published(command)
    command.set_defaults(command=_table)

    command = commands.add_parser("export", help="write energy records in the layout of optimum-benchmark")
    _add_results_dir(command)
    command.set_defaults(command=_export)

    command = commands.add_parser(
        "lm_eval", add_help=False, help="lm-eval's own command, which then knows the suite's scorer: --model glu"
    )
    command.set_defaults(command=_lm_eval)

    command = commands.add_parser("push", help="upload the results as a data set, or a pruned model, to the hub")
    _add_run_options(command)
    command.add_argument("--repo-id", required=True, metavar="ORG/NAME", help="repository to write to")
    command.add_argument("--model", metavar="KEY", help="upload this model, pruned, instead of the results")
    command.add_argument("--percent", type=int, metavar="N", help="pruning percentage of the model")
    command.add_argument("--method", default="PPM", metavar="NAME", help="pruning method of the model (default PPM)")
    command.set_defaults(command=_push)
    return parser


def _add_published(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--published", action="store_true", help="the published study's tables instead of records; DIR is written to"
    )


def _add_results_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "place", nargs="?", metavar="DIR", help="results folder (default: GLU_RESULTS_DIR, or results)"
    )
    command.add_argument("--results-dir", metavar="DIR", help="the same, as pytest has it")


def _results_dir(options: argparse.Namespace) -> Path:
    """The results folder, by its place or by its option; otherwise the one that a run would take.

    Raises:
        SettingsError: if both name one, or it is blank, or a folder has to be named.
    """
    given = [found for found in (options.place, options.results_dir) if found is not None]
    if len(given) > 1:
        raise SettingsError(f"{given[0]} and --results-dir {given[1]}: two results folders; name one")
    if not given and getattr(options, "published", False):
        raise SettingsError("--published: no folder is named, and no run's own is written to; name DIR")
    return given_folder(given[0] if given else os.environ.get("GLU_RESULTS_DIR") or "results")


def _add_run_options(command: argparse.ArgumentParser) -> None:
    _add_results_dir(command)
    command.add_argument("--limit", type=int, metavar="N", help="look at runs with this sample limit")
    command.add_argument("--study", type=Path, metavar="FILE", help="a study file (TOML) over the built-in study")


def _experiment(options: argparse.Namespace) -> Experiment:
    study = load_study(options.study, STUDY).study if options.study else STUDY
    return Experiment(Settings(options.results_dir, options.limit), study)


def _list(options: argparse.Namespace) -> int:
    experiment = _experiment(options)
    chosen = load_study(options.study, STUDY) if options.study else StudyFile(STUDY)
    methods = tuple(map(Method.parse, options.method or ())) or chosen.methods or (Method.PPM,)
    divisors = tuple(map(check_divisor, options.divisor or chosen.divisors)) or (None,)
    if not options.results_dir.is_dir():
        print(f"there is no folder {options.results_dir}: nothing is done there", file=sys.stderr)
    cases = build_cases(experiment.study, methods, divisors)
    states = {case: case_state(experiment, case) for case in cases}
    if options.stale:
        for case, found in states.items():
            if found.status is Status.STALE:
                print(one_line(f"{case.id}: {found.reason}"))
        return 0
    _print_table(listing.MATRIX_COLUMNS, listing.matrix_rows(states))
    print(listing.MATRIX_NOTE)
    _print_table(listing.MODEL_COLUMNS, listing.model_rows(experiment.study.models))
    return 0


class _Console(Console):
    """rich's console, which leaves it to `main` what happens when the reader has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    drawn = Table(box=None)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*map(one_line, row))
    # A file or another program gets whole cells, whatever the width of the terminal it was started from.
    _Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False).print(drawn)


def _validate(options: argparse.Namespace) -> int:
    experiment = _experiment(options)
    keys = options.model or list(experiment.study.models)
    findings = validate(experiment, [experiment.study.model(key) for key in keys])
    is_fine = True
    for finding in findings:
        is_fine &= finding.is_fine
        line = one_line(f"{finding.subject}: {finding.text}")
        print(f"{'ok     ' if finding.is_fine else 'problem'}  {line}", flush=True)
    return 0 if is_fine else EXIT_PROBLEMS


def _consolidate(options: argparse.Namespace) -> int:
    found = _concluded(options, remember=True)
    paths = write_tables(options.results_dir, found.rows)
    print(f"{len(found.rows)} rows: {', '.join(map(str, paths))}")
    return _problems(found.problems)


def _concluded(options: argparse.Namespace, *, remember: bool = False) -> Conclusions:
    if options.published:
        return conclude_published()
    found = conclude(options.results_dir, remember=remember)
    if not found.rows and not found.problems:
        random = options.results_dir / RANDOM_WEIGHTS_FOLDER
        where = f"name {random}, of --weights random" if random.is_dir() else "name the results folder of a run"
        raise RecordError(f"{options.results_dir}: no records there; {where}")
    return found


def _compare(options: argparse.Namespace) -> int:
    found = conclude(options.results_dir)
    if found.beside:
        _print_listing(beside_listing(found.beside))
    else:
        models = ", ".join(MODEL_KEYS.values())
        print(f"{options.results_dir}: no score has a published counterpart; the study published {models}, PPM")
    for line in found.unlike:
        print(one_line(line))
    _print_listing(restated_listing([row for table in ENERGY_TABLES for row in energy_restated(table)]))
    return _problems(found.problems)


def _print_listing(listing: Listing) -> None:
    print(f"{listing.caption}:")
    _print_table(listing.columns, [[number.plain(cell) for cell in row] for row in listing.rows])


def _write_report(options: argparse.Namespace) -> int:
    found = _concluded(options, remember=True)
    study = load_study(options.study, STUDY).study if options.study else STUDY
    title = "The published study of GLU width pruning" if options.published else "GLU width pruning"
    paths = write_report(options.results_dir, report_data(found, study, title=title))
    print(f"{paths[0]}\n{len(paths) - 1} files of figures: {options.results_dir / 'report' / 'figures'}")
    return _problems(found.problems)


def _table(options: argparse.Namespace) -> int:
    found = _concluded(options)
    for table in (*headline_tables(found.rows), *workload_tables(found.rows)):
        print(f"**{markdown_name(table.title)}**\n\n{markdown_table(table)}")
    if found.aligned_pairs:
        print(markdown_alignment(found.aligned_pairs))
    return _problems(found.problems)


def _export(options: argparse.Namespace) -> int:
    records, problems = [], []
    for path in Store(options.results_dir).record_paths():
        try:
            records.append(read_record(path))
        except RecordError as error:
            problems.append(str(error))
    paths, refused = export_records(records, options.results_dir / FOLDER)
    print(f"{len(paths)} energy records: {options.results_dir / FOLDER}")
    return _problems([*problems, *refused])


def _lm_eval(options: argparse.Namespace) -> int:
    """Run the `lm_eval` command with the model `glu` registered; its exit code."""
    from lm_eval.__main__ import cli_evaluate

    import glu_lib.measure.scoring.language_model  # noqa: F401  (registers the model)

    sys.argv = ["lm_eval", *options.rest]
    cli_evaluate()
    return 0


def _push(options: argparse.Namespace) -> int:
    if options.model is None:
        if options.percent is not None:
            raise StudyError(f"--percent {options.percent} is for a pruned model; name it: --model KEY")
        print(hub.push_results(options.results_dir, options.repo_id))
        return 0
    experiment = _experiment(options)
    variant = experiment.study.model(options.model)
    if options.percent not in variant.levels:
        levels = ", ".join(map(str, variant.levels))
        raise StudyError(f"--percent {options.percent}: model {variant.key} is studied at {levels}; choose one")
    pruning = Pruning(options.percent, Method.parse(options.method))
    print(hub.push_model(experiment, variant, pruning, options.repo_id))
    return 0


def _problems(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"left out: {one_line(problem)}", file=sys.stderr)
    return EXIT_PROBLEMS if problems else 0
