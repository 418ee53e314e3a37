"""Who works on a case: leases in the results folder, by which several runs on it share the cases out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from glu_lib.errors import RecordError
from glu_lib.study.cases import Case

if TYPE_CHECKING:
    from filelock import SoftFileLease

LEASES = "leases"
LEASE_S = 60.0  # a lease unrefreshed for so long is taken over; its holder refreshes it three times in that time
PATIENCE_S = 1.5 * LEASE_S  # long enough to see that a lease is not refreshed any more
_POLL_S = 0.2


@dataclass(slots=True)
class Leases:
    """The leases of one run in `root`, a results folder that other runs on this or another machine may use as well.

    A lease says who should be working, so that no case is measured twice; records stay whole without it, because they
    are written atomically. That of a process of this machine that has ended is taken over at once, that of another
    machine once it was seen unrefreshed for LEASE_S seconds, by this run's own clock.
    """

    root: Path
    limit: int | None = None
    _asked: dict[Path, SoftFileLease] = field(default_factory=dict)

    def take(self, case: Case, *, wait_s: float = 0.0) -> bool:
        """Whether this run may work on `case`; another run's lease is waited for at most `wait_s` seconds.

        Raises:
            RecordError: if the folder cannot be written.
        """
        from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

        path = self._path(case)
        try:
            if path not in self._asked:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Kept even if refused: it remembers since when it has seen no refresh.
                self._asked[path] = SoftFileLease(path, lease_duration=LEASE_S, thread_local=False)
            if not self._asked[path].is_locked:
                self._asked[path].acquire(timeout=wait_s, poll_interval=_POLL_S)
        except (Timeout, LeaseSettingsMismatch):  # held, perhaps by another version of the suite
            return False
        except OSError as error:
            raise RecordError(
                f"{path.parent}: no lease can be written ({error.strerror}); free space or rights, or choose another "
                "--results-dir"
            ) from error
        return True

    def give_back(self, case: Case) -> None:
        """Let others have `case`; nothing happens if this run does not hold it."""
        if lease := self._asked.get(self._path(case)):
            _release(lease)

    def give_all_back(self) -> None:
        """Let others have every case: the run ends, perhaps in the middle of one."""
        for lease in self._asked.values():
            _release(lease)

    def _path(self, case: Case) -> Path:
        limit = case.limited(self.limit)
        return self.root / LEASES / f"{case.id}{f'-limit{limit}' if limit else ''}.lease"


def _release(lease: SoftFileLease) -> None:
    if lease.is_locked:
        with suppress(OSError):  # the folder is gone: a lease that nobody refreshes ends by itself
            lease.release()
