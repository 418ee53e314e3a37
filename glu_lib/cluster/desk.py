"""A worker's side of the conversation: work comes in, events go out, answers of the running case are mailed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Lock

import psutil

from glu_lib.cluster.messages import MAIL_S, Answered, Event, Work

_PREFIX = "glu-worker-"


@dataclass(slots=True)
class Desk:
    """Shared by two threads: pytest's takes work and reports events, the actor's hands both over.

    Attributes:
        folder: the worker's own results folder, deleted with the worker.
        inbox: work from the driver; None ends the worker.
        outbox: events for the driver.
        mail_s: seconds between two mails of the running case's answers.
    """

    folder: Path = field(default_factory=lambda: _own_folder())
    inbox: Queue[Work | None] = field(default_factory=Queue)
    outbox: Queue[Event] = field(default_factory=Queue)
    mail_s: float = MAIL_S
    _lock: Lock = field(default_factory=Lock)
    _case_id: str | None = None
    _journal: Path | None = None
    _sent_bytes: int = 0
    _mailed_s: float = 0.0

    def begin(self, case_id: str, journal: Path) -> None:
        """A case begins; what its journal holds already came from the driver."""
        with self._lock:
            self._case_id, self._journal = case_id, journal
            self._sent_bytes, self._mailed_s = _size(journal), time.monotonic()

    def end(self) -> None:
        """The running case has ended: nothing of it is mailed any more."""
        with self._lock:
            self._case_id = self._journal = None

    def events(self, wait_s: float) -> list[Event]:
        """The events since the last call, waiting at most `wait_s` seconds for the first; answers if they are due."""
        found: list[Event] = []
        with suppress(Empty):
            found.append(self.outbox.get(timeout=wait_s))
            while True:
                found.append(self.outbox.get_nowait())
        if time.monotonic() - self._mailed_s >= self.mail_s:
            found += self.answers()
        return found

    def answers(self) -> Iterator[Answered]:
        """What the journal of the running case has gained since the last mail."""
        with self._lock:
            self._mailed_s = time.monotonic()
            if self._case_id is None or self._journal is None or _size(self._journal) <= self._sent_bytes:
                return
            with self._journal.open("rb") as file:
                file.seek(self._sent_bytes)
                data = file.read()
            sent = Answered(self._case_id, self._sent_bytes, data)
            self._sent_bytes += len(data)
        yield sent

    def clear(self) -> None:
        """Delete the worker's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _own_folder() -> Path:
    """A folder that names this process; those of processes that were killed are deleted."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{psutil.Process().pid}-"))
