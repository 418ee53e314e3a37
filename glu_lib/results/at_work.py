"""Who works on what in a results folder: its leases, as a listing shows them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glu_lib.results.address import LEASES, UNFINISHED
from glu_lib.results.journal_lines import run_start


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that measures a case, as its lease says.

    `since` is when it began the case (UTC), None if it has not written answers yet; `refreshed_s` is how many seconds
    ago it last refreshed the lease, by the clock of this machine.
    """

    case: str
    host: str
    process: int
    since: str | None
    refreshed_s: float


def at_work(root: Path) -> Iterator[Holder]:
    """The holders of the leases in `root`, a results folder, by case; unreadable leases are left out."""
    from filelock import SoftFileLease

    journals = {path.stem: path for path in (root / UNFINISHED).glob("*/*/*.jsonl")}
    for path in sorted((root / LEASES).glob("*.lease")):
        owner = SoftFileLease(path).owner
        try:
            refreshed_s = time.time() - path.stat().st_mtime
        except OSError:
            continue  # released meanwhile
        if owner is not None:
            since = run_start(journals[path.stem]) if path.stem in journals else None
            yield Holder(path.stem, owner.hostname, owner.pid, since, max(refreshed_s, 0.0))
