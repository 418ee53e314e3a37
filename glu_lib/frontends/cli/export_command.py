"""The command `export`: records in the formats of other projects."""

from __future__ import annotations

import argparse
from enum import StrEnum

from glu_lib.errors import RecordError
from glu_lib.frontends.cli.printing import print_problems
from glu_lib.report.formats.boamps import BOAMPS_FOLDER, export_boamps
from glu_lib.report.formats.every_eval_ever import EVERY_EVAL_EVER_FOLDER, export_evaluations
from glu_lib.report.formats.optimum import OPTIMUM_FOLDER, export_records
from glu_lib.report.formats.scored_case import ScoredCase
from glu_lib.results.record import read_record
from glu_lib.results.records import AccuracyRecord, EnergyRecord, ServingRecord
from glu_lib.results.store import Store
from glu_lib.wording import counted


class Format(StrEnum):
    """A format of another project."""

    OPTIMUM = "optimum-benchmark"
    BOAMPS = "boamps"
    EVERY_EVAL_EVER = "every-eval-ever"


def export(options: argparse.Namespace) -> int:
    """Write records in the chosen formats; print the folder of each."""
    store, folder = Store(options.results_dir), options.results_dir
    if not folder.is_dir():
        raise RecordError(f"{folder} is not a folder; name the results folder of a run")
    wanted, organization = options.format or list(map(str, Format)), options.organization
    energies, scored, serving, problems = _records(store)
    if Format.OPTIMUM in wanted:
        paths, refused = export_records(energies, folder / OPTIMUM_FOLDER)
        print(f"{len(paths)} energy records: {folder / OPTIMUM_FOLDER}")
        problems += refused
    if Format.BOAMPS in wanted:
        paths, refused = export_boamps(energies, folder / BOAMPS_FOLDER, organization)
        print(f"{len(paths)} energy records: {folder / BOAMPS_FOLDER}")
        problems += refused
    if Format.EVERY_EVAL_EVER in wanted:
        paths, refused, without = export_evaluations(store, scored, folder / EVERY_EVAL_EVER_FOLDER, organization)
        print(f"{len(paths)} levels of {len(scored)} scored cases: {folder / EVERY_EVAL_EVER_FOLDER}")
        if without:
            more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
            print(f"without items: {without[0]}{more}")
        problems += refused
    if serving:
        print(f"{counted(serving, 'serving record')} left out: these formats have no place for a growing batch")
    return print_problems(list(dict.fromkeys(problems)))


def _records(store: Store) -> tuple[list[EnergyRecord], list[ScoredCase], int, list[str]]:
    """Energy records, scored cases, number of serving records, and one message per record that cannot be read."""
    energies: list[EnergyRecord] = []
    scored: list[ScoredCase] = []
    problems: list[str] = []
    serving = 0
    for path in store.record_paths():
        try:
            record = read_record(path)
        except RecordError as error:
            problems.append(str(error))
            continue
        if isinstance(record, EnergyRecord):
            energies.append(record)
        elif isinstance(record, AccuracyRecord):
            scored.append(ScoredCase(record, path.relative_to(store.root).as_posix()))
        elif isinstance(record, ServingRecord):
            serving += 1
    return energies, scored, serving, problems
