"""A worker of a cluster: pytest with the driver's cases, in a results folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import glu_lib
from glu_lib.cluster.desk import Desk
from glu_lib.cluster.messages import Finished, Idle, Setup, Started, Work
from glu_lib.errors import ClusterError, GluError
from glu_lib.frontends.pytest_plugin.collection import CASES, DEFAULT_SELECTION_INPUT, IS_SELECTED, case_of
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, GIVEN, Given
from glu_lib.frontends.pytest_plugin.remote_reports import failed_report, packed
from glu_lib.results.staleness import differences
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case

# Ray has a handler for crashes of its own; cases are selected by the driver, and timed without pytest-benchmark.
_WITHOUT = ("cacheprovider", "faulthandler", "benchmark")


def serve(setup: Setup, desk: Desk) -> str:
    """Run pytest until the driver dismisses this worker.

    Returns:
        Why it ended before that, in one line; empty if the driver ended it.
    """
    root = checkout()
    os.chdir(root)  # models in relative folders are found as they are on the driver
    worker = ClusterWorkerRun(setup, desk)
    words = ["-c", str(root / "pytest.ini"), "--rootdir", str(root), "-q", "-m", "", *setup.options]
    words += [word for name in _WITHOUT for word in ("-p", f"no:{name}")]
    with redirect_stderr(StringIO()) as said:
        status = pytest.main([*words, *(str(root / module) for module in setup.modules)], plugins=[worker])
    sys.stderr.write(said.getvalue())
    if worker.is_dismissed:
        return ""
    lines = [line for line in (*worker.troubles, *said.getvalue().splitlines()) if line.strip()]
    return lines[-1].strip() if lines else f"pytest ended with exit code {status}"


def checkout() -> Path:
    """The checkout that this package runs from: it has the tests that measure.

    Raises:
        ClusterError: if the package was installed without them.
    """
    root = Path(glu_lib.__file__).resolve().parents[1]
    if not (root / "conftest.py").is_file():
        raise ClusterError(
            f"{root} is no checkout of the suite, whose benchmarks/ a worker needs; clone it there: pip install -e ."
        )
    return root


class ClusterWorkerRun:
    """The plugin that makes pytest a worker: it takes groups from the desk, and puts reports and files there."""

    def __init__(self, setup: Setup, desk: Desk) -> None:
        self._setup, self._desk = setup, desk
        self._reports: list[dict[str, Any]] = []
        self.troubles: list[str] = []
        self.is_dismissed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the driver's settings, study and cases; to all other plugins this is a worker of pytest-xdist."""
        setup, folder = self._setup, self._desk.folder
        config.workerinput = {DEFAULT_SELECTION_INPUT: False, "workerid": folder.name}  # type: ignore[attr-defined]
        settings = replace(setup.settings, results_dir=folder / "results")
        if setup.calibration is not None:
            text = folder / "calibration.txt"
            text.write_bytes(setup.calibration)
            settings = replace(settings, calibration=text)
        config.stash[GIVEN] = Given(settings, setup.study)
        config.stash[CASES] = list(setup.cases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Load the commits of hub models that the driver found, whatever the hub's branches are by now."""
        session.config.stash[EXPERIMENT].identities.adopt(self._setup.identities)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, object, object]:
        """The driver has planned the run: a worker would read models here that it never gets."""
        session.config.stash[IS_SELECTED] = False
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the last line of what prevented collection."""
        if report.failed:
            self.troubles.append(report.longreprtext.strip().splitlines()[-1])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run groups as they come."""
        if session.testsfailed:
            return True
        items = {case.id: item for item in session.items if (case := case_of(item))}
        self._desk.outbox.put(Idle())
        while (work := self._desk.inbox.get()) is not None:
            self._run(work, [items[case_id] for case_id in work.cases])
            self._desk.outbox.put(Idle())
        self.is_dismissed = True
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report of the running case."""
        self._reports.append(packed(self._config, report))

    def _run(self, work: Work, items: list[pytest.Item]) -> None:
        self._config = items[0].config
        experiment = self._config.stash[EXPERIMENT]
        self._place(work, experiment)
        reasons = {item: _other_key(item, work, experiment) for item in items}
        fit = [item for item in items if not reasons[item]]
        for item in items:
            if reasons[item]:
                report = failed_report(item, f"{item.name}: this node would measure something else ({reasons[item]})")
                self._desk.outbox.put(Finished(_case(item).id, (packed(self._config, report),), {}))
        for item, following in zip(fit, [*fit[1:], None], strict=True):
            case, self._reports = _case(item), []
            self._desk.begin(case.id, self._journal(case, experiment))
            self._desk.outbox.put(Started(case.id))
            # Without a following item pytest tears everything down: the level's model is freed.
            self._config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._desk.end()
            self._desk.outbox.put(Finished(case.id, tuple(self._reports), dict(_files(case, experiment))))

    def _place(self, work: Work, experiment: Experiment) -> None:
        """Put records of the level and answers of interrupted runs where the suite looks for them."""
        store = experiment.store
        store.check_writable()
        for name, data in work.records.items():
            _write(store.root / name, data)
        for item_case in self._setup.cases:
            if data := work.journals.get(item_case.id, b""):
                _write(store.unfinished_path(experiment.states.address(item_case)), data)

    def _journal(self, case: Case, experiment: Experiment) -> Path:
        """The path of the case's journal; one that this machine cannot go on from is deleted."""
        path = experiment.store.unfinished_path(experiment.states.address(case))
        with suppress(GluError):  # of a model that cannot be identified, which the case itself tells
            if not experiment.recorder.has_journal(case):
                path.unlink(missing_ok=True)
        return path


def _case(item: pytest.Item) -> Case:
    case = case_of(item)
    assert case is not None
    return case


def _other_key(item: pytest.Item, work: Work, experiment: Experiment) -> str:
    """How the case's done key differs here from the driver's, as that of a model's folder with other files."""
    case = _case(item)
    try:
        own = experiment.states.done_key(case)
    except GluError:
        return ""  # the case itself tells it
    return ", ".join(differences(dict(work.keys[case.id]), own))


def _files(case: Case, experiment: Experiment) -> Iterator[tuple[str, bytes]]:
    """Path and content of all files of a measured case; what only the driver needs is deleted."""
    store, id_ = experiment.store, experiment.states.address(case)
    record, samples, folder = store.record_path(id_), store.samples_path(id_), store.lm_eval_folder(id_)
    if not record.is_file():
        return
    for path in (record, samples, *sorted(folder.rglob("*"))):
        if path.is_file():
            yield store.relative(path), path.read_bytes()
    samples.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
