"""The terminal output before and after a run: header, problems, tables, paths."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from glu_lib.analysis import Conclusions, conclude, headline_tables, workload_tables, write_tables
from glu_lib.errors import RecordError, ReportError
from glu_lib.frontends.pytest_plugin.collection import (
    IS_SELECTED,
    all_cases,
    case_of,
    is_default_selection,
    is_resuming,
)
from glu_lib.frontends.pytest_plugin.hints import keyword_lines, no_match_lines
from glu_lib.frontends.pytest_plugin.internals import cache_folder, terminal_width
from glu_lib.frontends.pytest_plugin.last_summary import LastSummary
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, PENDING_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, SESSION, STUDY_NOTES
from glu_lib.frontends.pytest_plugin.resume import MIRROR
from glu_lib.machine.environment import MPS, UNTRIED_MPS
from glu_lib.machine.outside import ignored_settings
from glu_lib.report import alignment_lines, report_data, scan_lines, terminal_lines, workload_lines, write_report
from glu_lib.report.number import counted
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.items import ItemChoice, LimitFrom

_SHOWN = 5
_NOTHING_LEFT = (
    "--lf: {folder} lists no unfinished case; if the earlier run used another cache (-o cache_dir=...) or its cache is "
    "lost, select its cases again with -k or -m: finished cases are skipped"
)
_NOT_HERE = (
    "--lf: this run has none of the unfinished cases; repeat the options of the earlier run (--study, --method, "
    "--divisor), or select cases with -k or -m"
)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """The header: cases, device, versions, and hints for a selection without cases."""
    cases = [case for item in items if (case := case_of(item))]
    if not config.stash.get(IS_SELECTED, False):
        return []
    if not cases:
        if not items and is_resuming(config):
            return [_NOT_HERE]
        if not items and config.getoption("lf", default=False):
            return [_NOTHING_LEFT.format(folder=cache_folder(config) or "pytest's cache")]
        return no_match_lines(config) if not items else []
    return [*header_lines(config, cases), *keyword_lines(config)]


def header_lines(config: pytest.Config, cases: list[Case]) -> Iterator[str]:
    """Number of cases, device, versions, outside settings, and the cases that will resume or run again."""
    experiment: Experiment = config.stash[EXPERIMENT]
    plan, environment = config.stash[SESSION].plan, experiment.environment
    models = ", ".join(dict.fromkeys(case.model.key for case in cases))
    levels = len({case.group for case in cases})  # each group is loaded and pruned once
    done = plan.count(Status.DONE)
    status = f"{done} done" + (" (run again: --rerun)" if done and config.getoption("rerun") else "")
    yield (
        f"glu width pruning: {counted(len(cases), 'case')} of {models} in {counted(levels, '(model, level) group')}, "
        f"{status}"
    )
    if is_default_selection(config):
        yield 'nothing was selected, so the embedded model runs; select with -k "llama1b and p40", -m paper, -m carbon'
    hardware = environment.gpu or f"{environment.cpu}, {environment.cores} cores"
    yield f"on {environment.device} ({hardware}), {environment.dtype}, batch {experiment.settings.batch_size}"
    if environment.device == MPS:
        yield UNTRIED_MPS
    yield ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    if ignored := list(ignored_settings()):
        yield f"ignored CodeCarbon settings (the suite uses its own): {', '.join(ignored)}"
    if environment.outside:
        outside = (f"{name}={value}" for name, value in environment.outside.items())
        yield f"environment variables that change the speed (recorded): {', '.join(outside)}"
    yield from config.stash[STUDY_NOTES]
    scored = dict.fromkeys(case.model for case in cases if case.kind is not CaseKind.ARCHITECTURE)
    for key, stored_as in experiment.identities.stored_as(scored).items():
        yield f"weights of {key}: {stored_as}"
    if lacking := [model.key for model in scored if 0 not in model.levels]:
        yield f"level 0 is not in the study of {', '.join(lacking)}: no changes will be shown"
    if samples := experiment.settings.samples:
        yield f"limited run: only the samples of {samples.key}.json, in {counted(len(samples.chosen), 'task')}"
    if experiment.settings.limit:
        where = ", spread over the data set" if experiment.settings.limit_from is LimitFrom.SPREAD else ""
        yield f"limited run: at most {counted(experiment.settings.limit, 'sample')} per task{where}"
    begun = [case.id for case in cases if case.id in plan.states and experiment.recorder.has_journal(case)]
    for case_id in begun[:_SHOWN]:
        yield f"interrupted, will resume: {case_id}"
    if len(begun) > _SHOWN:
        yield f"interrupted, will resume: {len(begun) - _SHOWN} more"
    stale = [(case_id, state.reason) for case_id, state in plan.states.items() if state.status is Status.STALE]
    for case_id, reason in stale[:_SHOWN]:
        yield f"stale, will run again: {case_id}: {reason}"
    if len(stale) > _SHOWN:
        yield f"stale, will run again: {len(stale) - _SHOWN} more (glu list --stale)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print problems, the tables of this run's models, and the paths of records, report and tables."""
    touched = _touched(terminalreporter)
    if not touched or hasattr(config, "workerinput"):  # the summary of a pytest-xdist worker is not shown
        return
    experiment = config.stash[EXPERIMENT]
    terminalreporter.section("GLU width pruning")
    for line in _blocked_lines(terminalreporter, config):
        terminalreporter.write_line(line, yellow=True)
    root = experiment.store.root
    if not root.is_dir():
        terminalreporter.write_line(f"no tables: folder {root} does not exist")
        return
    width = terminal_width(terminalreporter)
    last = LastSummary.of(root, sorted(touched), experiment.settings.items, experiment.study, width)
    lines = last.lines()
    if lines is None:
        found = conclude(root, remember=True)
        try:
            paths = write_tables(root, found.rows)
            page, *pages = write_report(root, report_data(found, experiment.study), with_files=False)
        except (RecordError, ReportError) as error:
            terminalreporter.write_line(str(error), yellow=True)
            return
        measured = {case.id for case in all_cases(config) if case.kind is CaseKind.ENERGY} & touched
        texts = _table_lines(found, touched, experiment.settings.items, width, with_workloads=bool(measured))
        lines = [(text, False) for text in texts]
        lines += [(f"left out: {problem}", True) for problem in found.problems]
        lines += [(text, False) for text in _last_lines(found, page, paths)]
        last.save(lines, [page, *pages, *paths])
    for text, is_warning in lines:
        terminalreporter.write_line(text, yellow=is_warning)


def _table_lines(
    found: Conclusions, touched: Collection[str], items: ItemChoice, width: int, *, with_workloads: bool
) -> Iterator[str]:
    """The tables of the models of a run; a file of samples leaves the tasks whole that it does not name."""
    models, limit = {case_id.split("-")[0] for case_id in touched}, items.limit
    looks = {(items.chosen.limit, items.chosen.subset), *({(None, None)} if items.samples else ())}
    for table in headline_tables(found.rows):
        if table.model in models and (table.limit, table.subset) in looks:
            yield from terminal_lines(table, width)
    if with_workloads:
        for table in workload_tables(found.rows):
            if table.model in models and table.limit == limit:
                yield from workload_lines(table, width)
        yield from alignment_lines([pair for pair in found.aligned_pairs if pair.model in models], width)
    for scan in found.scans:
        if scan.case in touched and scan.limit == limit:
            yield from scan_lines(scan, width)


def _last_lines(found: Conclusions, page: Path, tables: Sequence[Path]) -> Iterator[str]:
    """What was not tested, and the paths of records, report and tables."""
    root = tables[0].parent
    if found.untested:
        yield _untested_line(found.untested)
    yield f"records: {root / 'individual_files'}"
    yield f"report:  {page} (to save its figures as files: glu report {shlex.quote(str(root))})"
    yield f"tables:  {tables[0]}, {', '.join(path.name for path in tables[1:])}"


def _untested_line(untested: Sequence[str]) -> str:
    """How many changes were not tested, with the reason if it is the same for all; each text is `case: reason`."""
    verb = "was" if len(untested) == 1 else "were"
    reasons = {text.partition(": ")[2] for text in untested}
    why = f": {reasons.pop()}" if len(reasons) == 1 else "; the report gives the reasons"
    return f"{counted(len(untested), 'change')} {verb} not tested{why}"


def _blocked_lines(reporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[str]:
    """A line on an unwritable cache, and one per cause that blocks cases: their number, and how to resume."""
    if config.stash[MIRROR].trouble:
        yield config.stash[MIRROR].trouble
    reports = [report for outcome in ("skipped", "failed", "error") for report in reporter.stats.get(outcome, ())]
    properties = [dict(getattr(report, "user_properties", ())) for report in reports]
    waiting = Counter(str(found[PENDING_PROPERTY]) for found in properties if PENDING_PROPERTY in found)
    for cause, count in sorted(waiting.items()):
        verb = "waits" if count == 1 else "wait"
        yield f"blocked: {counted(count, 'case')} {verb} for {cause}; see the error above, then: pytest --lf"


def _touched(reporter: pytest.TerminalReporter) -> set[str]:
    """Ids of all cases that this run reported: run, failed, or skipped as done."""
    return {
        str(value)
        for reports in reporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == CASE_PROPERTY
    }
