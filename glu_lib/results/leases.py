"""Leases in the results folder: several runs that use one folder divide levels and cases among themselves."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from glu_lib.errors import RecordError
from glu_lib.results.address import LEASES, RecordId
from glu_lib.study.cases import Case
from glu_lib.study.items import ItemChoice

if TYPE_CHECKING:
    from filelock import SoftFileLease

# A lease expires after this time without refresh; its holder refreshes it every third of it. Network folders show
# another machine's refresh up to a minute late (NFS keeps attributes for 60 s), and all runs on a folder must agree.
LEASE_S = 180.0
PATIENCE_S = 1.5 * LEASE_S  # long enough to see that a lease has expired
EMPTY_S = 5.0  # a lease is written right after it is created; one that stays empty for longer has lost its holder
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lease that may be lost, and since when it has not changed, by the monotonic clock."""

    identity: tuple[int, int]
    since_s: float


@dataclass(slots=True)
class Leases:
    """The leases of one run in `root`, a results folder that runs on this or other machines may share.

    There is a lease for each case, and one for each (model, level), so that a level is loaded by one run. Leases only
    save work: they keep two runs from measuring the same case. Records do not depend on them, because
    records are written atomically. If the holder was a process on this machine and has ended, its lease is taken over
    at once; a lease of another machine is taken over after LEASE_S seconds without refresh, by this run's clock. An
    empty lease, of a process that was killed before it wrote its name, is removed after EMPTY_S seconds, and one of a
    version of the suite with another duration after LEASE_S seconds without refresh.
    """

    root: Path
    items: ItemChoice = field(default_factory=ItemChoice)
    _asked: dict[Path, SoftFileLease] = field(default_factory=dict)
    _seen: dict[Path, _Seen] = field(default_factory=dict)

    def take_level(self, case: Case, *, wait_s: float = 0.0) -> bool:
        """Take the lease of the (model, level) of `case`; otherwise as `take`."""
        return self._take(self._level_path(case), wait_s)

    def take(self, case: Case, *, wait_s: float = 0.0) -> bool:
        """Take the lease of `case`, waiting at most `wait_s` seconds if another run holds it.

        Returns:
            Whether this run now holds the lease.

        Raises:
            RecordError: if the folder cannot be written.
        """
        return self._take(self._path(case), wait_s)

    def _take(self, path: Path, wait_s: float) -> bool:
        from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

        try:
            if path not in self._asked:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Kept even if another run holds it: the object remembers since when it has seen no refresh.
                self._asked[path] = SoftFileLease(path, lease_duration=LEASE_S, thread_local=False)
            if not self._asked[path].is_locked:
                self._asked[path].acquire(timeout=wait_s, poll_interval=_POLL_S)
        except Timeout:
            self._remove_if_lost(path, EMPTY_S, is_empty=True)
            return False
        except LeaseSettingsMismatch:  # of a version of the suite with another duration: filelock never takes it over
            self._remove_if_lost(path, LEASE_S, is_empty=False)
            return False
        except OSError as error:
            raise RecordError(
                f"{path.parent}: leases cannot be written ({error.strerror}); check free space and permissions, or "
                "choose another --results-dir"
            ) from error
        return True

    def give_back(self, case: Case) -> None:
        """Release the lease of `case`, if this run holds it."""
        if lease := self._asked.get(self._path(case)):
            _release(lease)

    def give_level_back(self, case: Case) -> None:
        """Release the lease of the (model, level) of `case`, if this run holds it."""
        if lease := self._asked.get(self._level_path(case)):
            _release(lease)

    def give_all_back(self) -> None:
        """Release all leases of this run, which may end in the middle of a case."""
        for lease in self._asked.values():
            _release(lease)

    def _path(self, case: Case) -> Path:
        return self.root / RecordId.of(case, self.items).lease

    def _level_path(self, case: Case) -> Path:
        return self.root / LEASES / f"{case.group}.level"

    def _remove_if_lost(self, path: Path, after_s: float, *, is_empty: bool) -> None:
        """Remove a lease that has not changed for `after_s` seconds; filelock would respect it for ever.

        Args:
            path: the lease.
            after_s: seconds that this run must have seen it unchanged.
            is_empty: whether only an empty lease is lost; any other is left to filelock.
        """
        with suppress(OSError):  # released meanwhile, or a folder that cannot be written
            found = path.stat()
            identity = (found.st_ino, found.st_ctime_ns)
            now_s = time.monotonic()
            seen = self._seen.get(path)
            if is_empty and found.st_size > 0:
                self._seen.pop(path, None)
            elif seen is None or seen.identity != identity:
                self._seen[path] = _Seen(identity, now_s)
            elif now_s - seen.since_s >= after_s:
                path.unlink()


def _release(lease: SoftFileLease) -> None:
    if lease.is_locked:
        with suppress(OSError):  # the folder is gone; the lease expires without refresh
            lease.release()
