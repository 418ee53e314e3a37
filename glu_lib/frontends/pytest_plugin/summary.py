"""The terminal output before and after a run: header, problems, tables, paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

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
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.items import LimitFrom
from glu_lib.study.layers import ALL
from glu_lib.wording import counted

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
    sets = dict.fromkeys(
        case.pruning.layers.text if case.pruning.layers else ALL for case in cases if case.pruning.percent
    )
    if len(sets) > 1:
        yield f"pruned layers: {', '.join(sets)}"
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
        # Only here, because analysis and report take a fifth of a second to import, which collecting need not wait for.
        from glu_lib.frontends.pytest_plugin.tables import write_summary

        measured = {case.id for case in all_cases(config) if case.kind in ENERGY_KINDS} & touched
        try:
            lines, written = write_summary(experiment, touched, width, with_workloads=bool(measured))
        except (RecordError, ReportError) as error:
            terminalreporter.write_line(str(error), yellow=True)
            return
        last.save(lines, written)
    for text, is_warning in lines:
        terminalreporter.write_line(text, yellow=is_warning)


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
