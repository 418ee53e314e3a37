"""The driver of a run on a cluster: it collects, plans, reports and writes; workers on other machines measure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import pytest

from glu_lib.cluster import engine
from glu_lib.cluster.claims import LevelClaims
from glu_lib.cluster.crew import Crew, Died, Dropped, Happening, NoWorkers
from glu_lib.cluster.messages import Answered, Finished, Work
from glu_lib.cluster.receiving import Receiver
from glu_lib.cluster.slots import slots_of
from glu_lib.cluster.terms import Terms, hardware, refusal, remarks
from glu_lib.cluster.turns import Group, groups_of
from glu_lib.errors import ClusterError, GluError
from glu_lib.frontends.pytest_plugin.cluster import energy_refusal
from glu_lib.frontends.pytest_plugin.cluster_setup import setup_of, turns_of
from glu_lib.frontends.pytest_plugin.cluster_worker import serve
from glu_lib.frontends.pytest_plugin.collection import case_of
from glu_lib.frontends.pytest_plugin.mirror import PENDING_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, SESSION
from glu_lib.frontends.pytest_plugin.remote_reports import fail, show, wait
from glu_lib.frontends.pytest_plugin.resume import ELSEWHERE, elsewhere_line
from glu_lib.run.plan import GPU, cause_for_all
from glu_lib.study.cases import Case
from glu_lib.wording import counted

CLUSTER = "the cluster"  # what cases wait for if it has no worker left
_RETRY_S = 1.0


class ClusterDriver:
    """A plugin in pytest's place of running tests one after the other; all other hooks see an ordinary run."""

    def __init__(self, config: pytest.Config, address: str, cpus: int | None) -> None:
        self._config, self._address, self._cpus = config, address, cpus
        self._crew: Crew | None = None
        self._terms: dict[str, Terms] = {}
        self._items: dict[str, pytest.Item] = {}
        self._announced: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Connect, so that a wrong address costs no collection."""
        try:
            engine.connect(self._address)
        except ClusterError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the workers and compare them with this machine, before the run is planned."""
        cases = [case for item in session.items if (case := case_of(item))]
        words = map(str, self._config.invocation_params.args)
        if refused := energy_refusal(cases, words):
            raise pytest.UsageError(refused)
        if not cases:
            return
        experiment = self._config.stash[EXPERIMENT]
        try:
            slots = slots_of(engine.nodes(), experiment.settings.device, self._cpus)
            self._crew = Crew(slots[: len(groups_of(cases))])
            self._terms = self._crew.muster(experiment.settings)
        except ClusterError as error:
            raise pytest.UsageError(str(error)) from None
        for node, terms in self._terms.items():
            if refused := refusal(terms, node, experiment.environment):
                raise pytest.UsageError(refused)

    @pytest.hookimpl(trylast=True)
    def pytest_report_collectionfinish(self) -> list[str]:
        """The workers, and what differs on their machines."""
        if self._crew is None:
            return []
        machines = dict.fromkeys(f"{hardware(terms)} on {node}" for node, terms in self._terms.items())
        lines = [f"cluster: {counted(len(self._crew.slots), 'worker')}; {', '.join(machines)}"]
        return [*lines, *remarks(self._terms, self._config.stash[EXPERIMENT].environment)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run here what is no case or needs no model; then the rest on the cluster."""
        if self._crew is None or (session.testsfailed and not session.config.option.continue_on_collection_errors):
            return None
        remote = [item for item in session.items if self._is_remote(item)]
        chosen = set(remote)
        self._run_here(session, [item for item in session.items if item not in chosen])
        self._items = {case.id: item for item in remote if (case := case_of(item))}
        if remote:
            self._run_there(session, [case for item in remote if (case := case_of(item))])
        return True

    def pytest_sessionfinish(self) -> None:
        """Dismiss the workers, whatever ended the run."""
        if self._crew is not None:
            self._crew.dismiss()
        engine.disconnect()

    def _is_remote(self, item: pytest.Item) -> bool:
        case, session = case_of(item), self._config.stash[SESSION]
        return case is not None and not session.plan.is_done(case) and not session.cause(case)

    def _run_here(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        for place, item in enumerate(items):
            following = items[place + 1] if place + 1 < len(items) else None
            self._config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            _check_stop(session)

    def _run_there(self, session: pytest.Session, cases: list[Case]) -> None:
        assert self._crew is not None
        if progress := self._config.pluginmanager.get_plugin("glu-progress"):
            progress.workers = len(self._crew.slots)
        run = self._config.stash[SESSION]
        receiver, claims = Receiver(run.experiment), LevelClaims(run)
        turns = turns_of(self._config, cases, self._crew.slots, self._terms)
        setup = setup_of(self._config, cases, self._items)

        def offer(group: Group) -> Work | None:
            """The work of a group; None if there is none to do now."""
            if claims.take(group):
                self._skip_done(session, group)
                if group.cases and (blocked := [case for case in group.cases if run.cause(case)]):
                    self._block(blocked)
                    group.cases = [case for case in group.cases if case not in blocked]
                if group.cases:
                    return receiver.work(group)
                claims.give_back(group)
                return None
            if claims.is_patient(group):
                turns.put_back(group, at_s=time.monotonic() + _RETRY_S)
            else:
                self._give_up(group)
            return None

        try:
            for happening in self._crew.run(turns, setup, serve, offer, claims.give_back):
                self._take(happening, receiver)
                _check_stop(session)
        finally:
            self._save_the_last(receiver)
            run.end()

    def _save_the_last(self, receiver: Receiver) -> None:
        """Keep what the workers at work have when the run stops; the next run finds it."""
        assert self._crew is not None
        for event in self._crew.last_words():
            with suppress(GluError):
                if isinstance(event, Answered):
                    receiver.note(self._case(event.case_id), event)
                elif event.files:
                    receiver.accept(self._case(event.case_id), event.files)

    def _take(self, happening: Happening, receiver: Receiver) -> None:
        """Write and report what has happened on a worker."""
        event = happening.event
        if isinstance(event, Answered):
            receiver.note(self._case(event.case_id), event)
        elif isinstance(event, Finished):
            self._finish(event, receiver, happening)
        elif isinstance(event, Died):
            fail(self._items[event.case_id], event.text)
        elif isinstance(event, NoWorkers):
            self._wait_for([self._case(case_id) for case_id in event.case_ids], CLUSTER, event.text)
        elif isinstance(event, Dropped):
            self._say(event.text)

    def _finish(self, event: Finished, receiver: Receiver, happening: Happening) -> None:
        item, case, plan = self._items[event.case_id], self._case(event.case_id), self._config.stash[SESSION].plan
        if event.files:
            try:
                receiver.accept(case, event.files)
            except GluError as error:
                if cause := cause_for_all(error):
                    self._wait_for([case], cause, str(error))
                else:
                    fail(item, str(error))
                return
            plan.pending.pop(case.id, None)
        show(item, event.reports)
        causes = [dict(report.get("user_properties", ())).get(PENDING_PROPERTY) for report in event.reports]
        if GPU in causes and self._crew is not None and happening.member is not None:
            self._crew.retire(happening.member)  # its process cannot use the GPU any more

    def _wait_for(self, cases: Iterable[Case], cause: str, message: str) -> None:
        for case in cases:
            wait(self._items[case.id], message, cause, is_first=cause not in self._announced)
            self._announced.add(cause)

    def _case(self, case_id: str) -> Case:
        case = case_of(self._items[case_id])
        assert case is not None
        return case

    def _skip_done(self, session: pytest.Session, group: Group) -> None:
        """Another run on this results folder may have finished cases since the plan was made."""
        run = self._config.stash[SESSION]
        done = [case for case in group.cases if run.look_up(case)]
        group.cases = [case for case in group.cases if case not in done]
        self._run_here(session, [self._items[case.id] for case in done])

    def _block(self, cases: Iterable[Case]) -> None:
        plan = self._config.stash[SESSION].plan
        for case in cases:
            cause = plan.cause(case)
            assert cause is not None
            self._wait_for([case], cause, str(plan.blocked[cause]))

    def _give_up(self, group: Group) -> None:
        """Fail once for the cases of a level that another run has kept for too long."""
        for case in group.cases:
            self._wait_for([case], ELSEWHERE, elsewhere_line(case))

    def _say(self, line: str) -> None:
        if (reporter := self._config.pluginmanager.get_plugin("terminalreporter")) is not None:
            reporter.ensure_newline()
            reporter.write_line(line, yellow=True)


def _check_stop(session: pytest.Session) -> None:
    """As pytest between two tests."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
