"""What is printed before and after a run: what will run on what, and the tables of what came out."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

import pytest

from glu_lib.analysis import conclude, headline_tables, workload_tables, write_tables
from glu_lib.errors import RecordError, ReportError
from glu_lib.frontends.pytest_plugin.collection import (
    IS_SELECTED,
    all_cases,
    case_of,
    is_default_selection,
    is_resuming,
)
from glu_lib.frontends.pytest_plugin.hints import keyword_lines, no_match_lines
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, PENDING_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.frontends.pytest_plugin.resume import MIRROR, PLAN
from glu_lib.machine.outside import ignored_settings
from glu_lib.report import alignment_lines, report_data, terminal_lines, workload_lines, write_report
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case, CaseKind

_SHOWN = 5
_NOTHING_LEFT = (
    "nothing is left that {folder} knows of; if the run to go on with had another cache (-o cache_dir=...), or it is "
    "lost, select its cases again with -k or -m: what is done is skipped"
)
_NOT_HERE = (
    "none of the cases that --lf knows of is in this selection; give the options of that run again (--study, --method, "
    "--divisor), or select cases with -k or -m"
)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """The header: what will run, on which device, with which versions, how many are done."""
    cases = [case for item in items if (case := case_of(item))]
    if not config.stash.get(IS_SELECTED, False):
        return []
    if not cases:
        if not items and is_resuming(config):
            return [_NOT_HERE]
        if not items and config.getoption("lf", default=False):
            return [_NOTHING_LEFT.format(folder=config.cache._cachedir if config.cache else "pytest's cache")]
        return no_match_lines(config) if not items else []
    return [*header_lines(config, cases), *keyword_lines(config)]


def header_lines(config: pytest.Config, cases: list[Case]) -> Iterator[str]:
    """What will run, on what, and how much of it is done."""
    experiment: Experiment = config.stash[EXPERIMENT]
    plan, environment = config.stash[PLAN], experiment.environment
    models = ", ".join(dict.fromkeys(case.model.key for case in cases))
    levels = len({case.group for case in cases})  # (model, level) pairs: what is loaded and pruned once each
    done = plan.count(Status.DONE)
    status = f"{done} done" + (" (run again: --rerun)" if done and config.getoption("rerun") else "")
    yield f"glu width pruning: {len(cases)} cases of {models} in {levels} (model, level) groups, {status}"
    if is_default_selection(config):
        yield 'nothing was selected, so the embedded model runs; select with -k "llama1b and p40", -m paper, -m carbon'
    hardware = environment.gpu or f"{environment.cpu}, {environment.cores} cores"
    yield f"on {environment.device} ({hardware}), {environment.dtype}, batch {experiment.settings.batch_size}"
    yield ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    if ignored := list(ignored_settings()):
        yield f"ignored, energy is measured with the suite's own settings of CodeCarbon: {', '.join(ignored)}"
    if environment.outside:
        outside = (f"{name}={value}" for name, value in environment.outside.items())
        yield f"set from outside, recorded: {', '.join(outside)}"
    if experiment.settings.limit:
        yield f"a quick look: at most {experiment.settings.limit} samples per task"
    begun = [case.id for case in cases if case.id in plan.states and experiment.is_begun(case)]
    for case_id in begun[:_SHOWN]:
        yield f"interrupted before, will go on where it was: {case_id}"
    if len(begun) > _SHOWN:
        yield f"interrupted before, will go on where they were: {len(begun) - _SHOWN} more"
    stale = [(case_id, state.reason) for case_id, state in plan.states.items() if state.status is Status.STALE]
    for case_id, reason in stale[:_SHOWN]:
        yield f"stale, will run again: {case_id}: {reason}"
    if len(stale) > _SHOWN:
        yield f"stale, will run again: {len(stale) - _SHOWN} more (glu list --stale)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The tables of the models that this run touched, and where everything lies."""
    touched = _touched(terminalreporter)
    if not touched or hasattr(config, "workerinput"):  # a worker of pytest-xdist has a summary too, which nobody sees
        return
    experiment = config.stash[EXPERIMENT]
    terminalreporter.section("GLU width pruning")
    for line in _blocked_lines(terminalreporter, config):
        terminalreporter.write_line(line, yellow=True)
    root = experiment.store.root
    if not root.is_dir():
        terminalreporter.write_line(f"no tables: there is no folder {root}")
        return
    found = conclude(root, remember=True)
    try:
        paths = write_tables(root, found.rows)
        (page,) = write_report(root, report_data(found, experiment.study), with_files=False)
    except (RecordError, ReportError) as error:
        terminalreporter.write_line(str(error), yellow=True)
        return
    models = {case_id.split("-")[0] for case_id in touched}
    for table in headline_tables(found.rows):
        if table.model in models and table.limit == experiment.settings.limit:
            for line in terminal_lines(table, terminalreporter._tw.fullwidth):
                terminalreporter.write_line(line)
    if any(case.kind is CaseKind.ENERGY for case in all_cases(config) if case.id in touched):
        for table in workload_tables(found.rows):
            if table.model in models and table.limit == experiment.settings.limit:
                for line in workload_lines(table, terminalreporter._tw.fullwidth):
                    terminalreporter.write_line(line)
        pairs = [pair for pair in found.aligned_pairs if pair.model in models]
        for line in alignment_lines(pairs, terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line)
    for problem in found.problems:
        terminalreporter.write_line(f"left out: {problem}", yellow=True)
    if found.untested:
        terminalreporter.write_line(f"{len(found.untested)} changes were not tested; the report says why")
    terminalreporter.write_line(f"records: {root / 'individual_files'}")
    terminalreporter.write_line(f"report:  {page} (figures as files: glu report {shlex.quote(str(root))})")
    terminalreporter.write_line(f"tables:  {paths[0]}, {', '.join(path.name for path in paths[1:])}")


def _blocked_lines(reporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[str]:
    """One line per model, level or GPU that could not be had: how many cases wait for it, and how to go on."""
    if config.stash[MIRROR].trouble:
        yield config.stash[MIRROR].trouble
    reports = [report for outcome in ("skipped", "failed", "error") for report in reporter.stats.get(outcome, ())]
    properties = [dict(getattr(report, "user_properties", ())) for report in reports]
    waiting = Counter(str(found[PENDING_PROPERTY]) for found in properties if PENDING_PROPERTY in found)
    for cause, count in sorted(waiting.items()):
        yield f"blocked: {count} cases wait for {cause} (its error is above); then: pytest --lf"


def _touched(reporter: pytest.TerminalReporter) -> set[str]:
    """Ids of the cases that were reported: run, skipped as done, failed."""
    return {
        str(value)
        for reports in reporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == CASE_PROPERTY
    }
