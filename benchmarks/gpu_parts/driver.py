"""The driver: starts a process for each part until the call's time is over. It never imports torch itself.

So it holds no memory of the GPU while others measure, and a process that dies costs one unit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_parts import suites
from gpu_parts.plan import Unit, batches
from gpu_parts.processes import Ended, run_until
from gpu_parts.records import Records
from gpu_parts.setup import SCRIPT, Setup

_FRESH = 0.95  # of a call's time: what is left before its first part is started
_PATIENCE_S = 20.0  # for pytest, from SIGTERM to the end: a batch, and the tables


@dataclass(slots=True)
class Driver:
    """Measures the pending units of a setup, within `minutes` of the moment it was made."""

    setup: Setup
    records: Records
    until_s: float
    say: Callable[[str], None] = print

    def measure(self) -> list[Unit]:
        """Measure what fits into the time; returns the units that are left for the next call.

        Raises:
            RecordError: if the folder holds records of another device, or cannot be written.
        """
        self.records.bind(self.setup.binding())
        planned = self.setup.units()
        if self.setup.again:
            self.records.forget_failed(planned)
        for batch in batches(planned):
            if batch[0].part.is_pytest:
                self._measure_suite(batch[0])
            else:
                self._measure_batch(batch)
        return self.records.pending(planned)

    def left_s(self) -> float:
        """Seconds that are left."""
        return self.until_s - time.monotonic()

    def fits(self, unit: Unit) -> bool:
        """Whether there is time to start a unit; in a fresh call there is, whatever it needs."""
        most_s = _FRESH * 60 * self.setup.minutes
        return self.left_s() >= min(most_s, self.records.needs_s(unit, is_tiny=self.setup.is_tiny))

    def _pending(self, units: Sequence[Unit]) -> list[Unit]:
        return [unit for unit in self.records.pending(units) if self.fits(unit)]

    def _measure_batch(self, batch: Sequence[Unit]) -> None:
        """Measure units in a process of their own; the rest in a new one if it dies."""
        while pending := self._pending(batch):
            self.records.end()
            command = [sys.executable, str(SCRIPT), *self.setup.arguments(), "--until", str(self.until_s)]
            command += ["--child", ",".join(unit.key for unit in pending)]
            ended = run_until(command, self.until_s, 0.0, self.records.folder / "log.txt")
            begun = self.records.begun()
            self.records.end()
            # A process that dies before its first unit would do so again.
            at_work, had_s = begun or (pending[0].key, ended.seconds)
            for unit in pending:
                if unit.key == at_work:
                    self._explain(unit, ended, had_s)
                self._tell(unit)
            if ended.was_stopped:
                return

    def _measure_suite(self, unit: Unit) -> None:
        if not self._pending([unit]):
            return
        log = self.records.folder / f"{unit.key}.log"
        ended = run_until(suites.command(self.setup, unit), self.until_s - _PATIENCE_S, _PATIENCE_S, log)
        if ended.was_stopped:
            self.say(f"{unit.key}: stopped after {ended.seconds:.0f} s; the next call goes on")
            return
        machine = self.setup.environment.as_dict()
        if ended.code:
            reason = f"pytest ended with {ended.code}: {ended.last_line}"
            self.records.failed(unit, machine, ended.seconds, reason)
        else:
            self.records.done(unit, machine, ended.seconds, suites.measured(self.setup, unit))
        self._tell(unit)

    def _explain(self, unit: Unit, ended: Ended, had_s: float) -> None:
        """Record why a unit that had begun has no record: its time was over, or its process died."""
        if not self.records.pending([unit]):
            return
        if ended.was_stopped:
            self.records.stopped(unit, had_s)
            self.say(f"{unit.key}: stopped after {had_s:.0f} s; the next call tries again if it has more time")
        elif ended.code:
            reason = f"its process ended with {ended.code}: {ended.last_line}"
            self.records.failed(unit, self.setup.environment.as_dict(), had_s, reason)

    def _tell(self, unit: Unit) -> None:
        if found := self.records.read(unit):
            reason = f": {found['error']}" if "error" in found else ""
            self.say(f"{unit.key}: {found['status']} after {found['seconds']:.1f} s{reason}")
