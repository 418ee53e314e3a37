"""Commands on records: consolidate, report, compare, table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches

from glu_lib.analysis import Conclusions, conclude, conclude_published, headline_tables, workload_tables, write_tables
from glu_lib.analysis.model_sizes import model_sizes
from glu_lib.analysis.published.blind import beside_blind
from glu_lib.analysis.published.comparison import MODEL_KEYS, published_rows
from glu_lib.analysis.published.restated import ENERGY_TABLES, energy_restated
from glu_lib.errors import RecordError, one_line
from glu_lib.frontends.cli.printing import print_listing, print_problems
from glu_lib.report import (
    markdown_alignment,
    markdown_listing,
    markdown_name,
    markdown_scan,
    markdown_sizes,
    markdown_table,
    report_data,
    write_report,
)
from glu_lib.report.blind_answers import surviving
from glu_lib.report.listings import beside_listing, blind_listing, restated_listing
from glu_lib.report.recovered import recovered_listing
from glu_lib.report.same_size import same_size_listing, size_score_listing
from glu_lib.report.serving_table import serving_listings
from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER
from glu_lib.study import STUDY, load_study


def consolidate(options: argparse.Namespace) -> int:
    """Write the tables as CSV, JSON and Parquet; print their paths."""
    found = concluded(options, remember=True)
    paths = write_tables(options.results_dir, found.rows)
    print(f"{len(found.rows)} rows: {', '.join(map(str, paths))}")
    return print_problems(found.problems)


def concluded(options: argparse.Namespace, *, remember: bool = False) -> Conclusions:
    """Conclusions from the records of the results folder, or from the published tables with --published.

    Raises:
        RecordError: if the folder holds no record.
    """
    if options.published:
        return conclude_published()
    found = conclude(options.results_dir, remember=remember)
    if not found.rows and not found.problems:
        random = options.results_dir / RANDOM_WEIGHTS_FOLDER
        remedy = "name the results folder of a run"
        if random.is_dir():
            remedy = f"records of --weights random are in {random}: name that folder"
        raise RecordError(f"{options.results_dir}: holds no records; {remedy}")
    return found


def compare(options: argparse.Namespace) -> int:
    """Print own scores next to the published ones, these beside blind answers, and the published energies in joules."""
    found = conclude(options.results_dir)
    if found.beside:
        print_listing(beside_listing(found.beside))
    else:
        models = ", ".join(MODEL_KEYS.values())
        print(
            f"{options.results_dir}: no score has a published counterpart; the published study covers {models} with PPM"
        )
    for line in found.unlike:
        print(one_line(line))
    published = beside_blind(published_rows())
    print_listing(blind_listing(published))
    for model in dict.fromkeys(item.model for item in published):
        for line in surviving([item for item in published if item.model == model]):
            print(f"{model}: {line}")
    print_listing(restated_listing([row for table in ENERGY_TABLES for row in energy_restated(table)]))
    return print_problems(found.problems)


def report(options: argparse.Namespace) -> int:
    """Write the page and its figures; print their paths."""
    found = concluded(options, remember=True)
    study = load_study(options.study, STUDY).study if options.study else STUDY
    title = "The published study of GLU width pruning" if options.published else "GLU width pruning"
    paths = write_report(options.results_dir, report_data(found, study, title=title))
    figures = [path for path in paths if path.suffix != ".html"]
    print(f"{paths[0]}\n{len(figures)} figure files: {options.results_dir / 'report' / 'figures'}")
    return print_problems(found.problems)


def table(options: argparse.Namespace) -> int:
    """Print the headline tables, models of one size, checkpoints, workloads, growing batches and layer scans.

    With --task: the scores and figures of these tasks and workloads only.
    """
    found = concluded(options)
    if options.task:
        return _some_tasks(found, options.task)
    for table in headline_tables(found.rows):
        print(f"**{markdown_name(table.title)}**\n\n{markdown_table(table)}")
        print(markdown_sizes(table))
    if sizes := model_sizes(found.rows):
        print(markdown_listing(size_score_listing(sizes)))
    if found.same_size:
        print(markdown_listing(same_size_listing(found.same_size)))
    if found.recovered:
        print(markdown_listing(recovered_listing(found.recovered)))
    for line in found.not_beside:
        print(f"{markdown_name(line)}.\n")
    for table in workload_tables(found.rows):
        print(f"**{markdown_name(table.title)}**\n\n{markdown_table(table)}")
    if found.aligned_pairs:
        print(markdown_alignment(found.aligned_pairs))
    for listing in serving_listings(found.serving):
        print(markdown_listing(listing))
    for scan in found.scans:
        print(markdown_scan(scan))
    return print_problems(found.problems)


def _some_tasks(found: Conclusions, names: Sequence[str]) -> int:
    """Print the headline and workload tables of some tasks; refuse a name without records."""
    whole = [*headline_tables(found.rows), *workload_tables(found.rows)]
    known = list(dict.fromkeys(task for table in whole for task in table.tasks))
    for name in names:
        if name not in known:
            near = get_close_matches(name.lower(), known, 1)
            hint = f" (did you mean --task {near[0]}?)" if near else ""
            raise RecordError(f"--task {name!r}: no record of this task{hint}; there are {', '.join(known) or 'none'}")
    for table in whole:
        some = table.with_tasks(names)
        if some.has_pruned or (some.tasks and not table.has_pruned):
            print(f"**{markdown_name(some.title)}**\n\n{markdown_table(some)}")
    return print_problems(found.problems)
