"""Commands on records and on the study: list, consolidate, table."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glu_lib.analysis import consolidate, headline_tables, write_tables
from glu_lib.cases import Case, build_cases
from glu_lib.errors import AccessError, GluError
from glu_lib.experiment import Experiment
from glu_lib.report import markdown_table
from glu_lib.settings import Settings
from glu_lib.store import CaseState, Status

EXIT_PROBLEMS = 1  # something was left out or unreadable
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 fine, 1 records were left out, 2 wrong use."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except GluError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m glu_lib", description="Records and study of the GLU width pruning suite."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="what there is to run, and what of it is done, stale or pending")
    listing.add_argument(
        "--results-dir", type=Path, default=Path("results"), metavar="DIR", help="results folder of the runs"
    )
    listing.add_argument("--limit", type=int, metavar="N", help="look at runs with this sample limit")
    listing.add_argument("--stale", action="store_true", help="name each stale case and why it is stale")
    listing.set_defaults(command=_list)
    merging = commands.add_parser("consolidate", help="write results.csv and results.json from the records")
    merging.add_argument("results_dir", type=Path, metavar="DIR", help="results folder")
    merging.set_defaults(command=_consolidate)
    table = commands.add_parser("table", help="print headline metrics per level as Markdown")
    table.add_argument("results_dir", type=Path, metavar="DIR", help="results folder")
    table.set_defaults(command=_table)
    return parser


def _list(options: argparse.Namespace) -> int:
    experiment = Experiment(Settings(results_dir=options.results_dir, limit=options.limit))
    states = {case: state(experiment, case) for case in build_cases(experiment.study)}
    if options.stale:
        for case, found in states.items():
            if found.status is Status.STALE:
                print(f"{case.id}: {found.reason}")
        return 0
    drawn = Table("model", "level", "cases", *(status.value for status in Status), box=None)
    for line in _matrix(states):
        drawn.add_row(*line)
    Console().print(drawn)
    return 0


def state(experiment: Experiment, case: Case) -> CaseState:
    """State of a case; a model is only asked for if a record says that it was once run here."""
    path = experiment.store.record_path(case, experiment.settings.limit)
    if not path.exists():
        return CaseState(Status.PENDING, path)
    try:
        return experiment.state(case)
    except AccessError as error:
        return CaseState(Status.STALE, path, f"cannot be checked: {error}")


def _matrix(states: dict[Case, CaseState]) -> Iterator[list[str]]:
    for _, members in groupby(states, key=lambda case: case.group):
        cases = list(members)
        counts = Counter(states[case].status for case in cases)
        yield [
            cases[0].model.key,
            cases[0].pruning.key,
            str(len(cases)),
            *(str(counts[status]) for status in Status),
        ]


def _consolidate(options: argparse.Namespace) -> int:
    found = consolidate(options.results_dir)
    csv_path, json_path = write_tables(options.results_dir, found.rows)
    print(f"{len(found.rows)} rows: {csv_path}, {json_path}")
    return _report(found.problems)


def _table(options: argparse.Namespace) -> int:
    found = consolidate(options.results_dir)
    for table in headline_tables(found.rows):
        print(markdown_table(table))
    return _report(found.problems)


def _report(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    return EXIT_PROBLEMS if problems else 0
