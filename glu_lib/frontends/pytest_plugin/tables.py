"""Writes tables and report of a results folder, and says in the terminal what is in them."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from glu_lib.analysis import Conclusions, conclude, headline_tables, workload_tables, write_tables
from glu_lib.report import (
    alignment_lines,
    report_data,
    scan_lines,
    serving_lines,
    terminal_lines,
    workload_lines,
    write_report,
)
from glu_lib.report.recovered import recovered_sentences
from glu_lib.run.experiment import Experiment
from glu_lib.study.items import ItemChoice
from glu_lib.wording import counted

_NAMED = 3  # as many changes that were not tested are named


def write_summary(
    experiment: Experiment, touched: Collection[str], width: int, *, with_workloads: bool
) -> tuple[list[tuple[str, bool]], list[Path]]:
    """Write tables and page; the lines of the terminal, each with whether it is a warning, and the files.

    Args:
        experiment: whose results folder is read.
        touched: ids of the cases of this run.
        width: of the terminal in characters.
        with_workloads: whether to show the tables of energy workloads.

    Raises:
        RecordError: if the results folder cannot be read or written.
        ReportError: if the page cannot be made.
    """
    root = experiment.store.root
    found = conclude(root, remember=True)
    paths = write_tables(root, found.rows)
    page, *pages = write_report(root, report_data(found, experiment.study), with_files=False)
    texts = _table_lines(found, touched, experiment.settings.items, width, with_workloads=with_workloads)
    lines = [(text, False) for text in texts]
    lines += [(f"left out: {problem}", True) for problem in found.problems]
    lines += [(text, False) for text in _last_lines(found, page, paths)]
    return lines, [page, *pages, *paths]


def _table_lines(
    found: Conclusions, touched: Collection[str], items: ItemChoice, width: int, *, with_workloads: bool
) -> Iterator[str]:
    """The tables of the models of a run; a file of samples leaves the tasks whole that it does not name."""
    models, limit = {case_id.split("-")[0] for case_id in touched}, items.limit
    looks = {(items.chosen.limit, items.chosen.subset), *({(None, None)} if items.samples else ())}
    for table in headline_tables(found.rows):
        is_touched = table.model in models or not models.isdisjoint(table.checkpoints)
        if is_touched and (table.limit, table.subset) in looks:
            yield from terminal_lines(table, width)
    yield from _beside_baseline(found, models, width)
    if with_workloads:
        for table in workload_tables(found.rows):
            if table.model in models and table.limit == limit:
                yield from workload_lines(table, width)
        yield from alignment_lines([pair for pair in found.aligned_pairs if pair.model in models], width)
        yield from serving_lines([level for level in found.serving if level.model in models], width)
    for scan in found.scans:
        if scan.case in touched and scan.limit == limit:
            yield from scan_lines(scan, width)


def _beside_baseline(found: Conclusions, models: Collection[str], width: int) -> Iterator[str]:
    """What checkpoints of the run have recovered, and which levels of their baselines are missing."""
    told = [text for model, text in recovered_sentences(found.recovered) if model in models]
    told += [line for line in found.not_beside if line.partition(":")[0] in models]
    for text in told:
        yield from textwrap.wrap(text, width)


def _last_lines(found: Conclusions, page: Path, tables: Sequence[Path]) -> Iterator[str]:
    """What was not tested, and the paths of records, report and tables."""
    root = tables[0].parent
    if found.untested:
        yield _untested_line(found.untested)
    yield f"records: {root / 'individual_files'}"
    yield f"report:  {page} (to save its figures as files: glu report {shlex.quote(str(root))})"
    yield f"tables:  {tables[0]}, {', '.join(path.name for path in tables[1:])}"


def _untested_line(untested: Sequence[str]) -> str:
    """How many changes were not tested, which (at most three), with the reason if all have one; `case: reason` each."""
    verb = "was" if len(untested) == 1 else "were"
    cases, reasons = (dict.fromkeys(text.partition(": ")[part] for text in untested) for part in (0, 2))
    which = f" ({', '.join(cases)})" if len(cases) <= _NAMED else ""
    why = f": {next(iter(reasons))}" if len(reasons) == 1 else "; the report gives the reasons"
    return f"{counted(len(untested), 'change')} {verb} not tested{which}{why}"
