"""The worker process: answers the driver in its main thread, while pytest runs the cases in another one."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable

from glu_lib.cluster.desk import Desk
from glu_lib.cluster.messages import Answered, Broken, Event, Setup, Work
from glu_lib.cluster.terms import Terms, own_terms
from glu_lib.machine.environment import WORKER_COUNT
from glu_lib.study.settings import Settings

Run = Callable[[Setup, Desk], str]  # runs work until the inbox says None; returns why it ended before that, or ""


class ClusterWorker:
    """A Ray actor, one per GPU or share of the CPUs."""

    def __init__(self, cpus: int, beside: int) -> None:
        """Take up the place.

        Args:
            cpus: CPUs of this worker.
            beside: workers on this machine, this one included.
        """
        # As pytest-xdist does: threads are chosen, and energy is attributed, by the share of the machine.
        share = (os.cpu_count() or 1) // cpus
        os.environ[WORKER_COUNT] = str(max(beside, share))
        # Words of the shell that started the node; those of the driver are in `Setup.options`.
        os.environ.pop("PYTEST_ADDOPTS", None)
        self._desk: Desk | None = None

    def terms(self, settings: Settings) -> tuple[Terms, str]:
        """What this process would measure with; or why it cannot measure, in one line."""
        try:
            return own_terms(settings), ""
        except Exception as error:
            return {}, str(error)

    def begin(self, setup: Setup, run: Run) -> None:
        """Start pytest in a thread of its own; it reports `Idle` when it can take work."""
        self._desk = desk = Desk(mail_s=setup.mail_s)

        def serve() -> None:
            try:
                reason = run(setup, desk)
            except BaseException as error:  # the thread's end must reach the driver, whatever it was
                traceback.print_exc()  # to the worker's log on its node
                reason = traceback.format_exception_only(error)[-1].strip()
            desk.clear()
            desk.outbox.put(Broken(reason))

        threading.Thread(target=serve, name="pytest", daemon=True).start()

    def poll(self, work: Work | None, wait_s: float) -> list[Event]:
        """Take work, if there is some, and return the events since the last call.

        Args:
            work: a group, once the worker is idle.
            wait_s: how long to wait for the first event.
        """
        assert self._desk is not None
        if work is not None:
            self._desk.inbox.put(work)
        return self._desk.events(wait_s)

    def answers(self) -> list[Answered]:
        """The answers of the running case that have not been mailed yet: the driver is about to stop."""
        return list(self._desk.answers()) if self._desk else []

    def leave(self, wait_s: float) -> None:
        """End pytest between two groups, and delete the worker's folder."""
        if self._desk is None:
            return
        self._desk.inbox.put(None)
        for thread in threading.enumerate():
            if thread.name == "pytest":
                thread.join(wait_s)
