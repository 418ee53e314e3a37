"""Commands that compare levels on the same items: each method with random selection, any level with another."""

from __future__ import annotations

import argparse
from pathlib import Path

from glu_lib.analysis import consolidate
from glu_lib.analysis.two_levels import two_levels, without_counterpart
from glu_lib.errors import RecordError
from glu_lib.frontends.cli.printing import print_listing, print_problems
from glu_lib.frontends.cli.record_commands import concluded
from glu_lib.report.random_floor import method_sentences, random_listing, verdict_listing
from glu_lib.report.same_size import difference_listing
from glu_lib.results.store import Store


def methods(options: argparse.Namespace) -> int:
    """Print every method's scores beside random selection, the verdicts, and a sentence for each level."""
    found = concluded(options)
    if not found.against_random:
        print(
            f"{options.results_dir}: no method stands beside random selection; run one with its floor: pytest -k ... "
            "--method PPM --method random"
        )
        return print_problems(found.problems)
    print_listing(random_listing(found.against_random))
    print_listing(verdict_listing(found.against_random))
    for model, text in method_sentences(found.against_random):
        print(f"{model}: {text}")
    return print_problems(found.problems)


def difference(options: argparse.Namespace) -> int:
    """Print the paired comparison of two levels, task by task.

    Raises:
        RecordError: if the levels cannot be compared; unreadable records are printed before.
    """
    first, second = options.first, options.second
    if folders := [name for name in (first, second) if Path(name).is_dir()]:
        raise RecordError(f"{folders[0]!r} is a folder: name two levels, then the folder")
    found = consolidate(options.results_dir)
    try:
        compared = two_levels(found.rows, Store(options.results_dir), first, second, tasks=options.task or ())
    except RecordError:
        print_problems(found.problems)
        raise
    print_listing(difference_listing(compared, first, second))
    for line in without_counterpart(found.rows, first, second) if not options.task else ():
        print(line)
    return print_problems(found.problems)
