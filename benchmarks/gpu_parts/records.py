"""The folder of a measurement: one JSON file per unit, what it is bound to, and which unit was stopped when."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError, one_line
from glu_lib.results.writing import write_atomically
from gpu_parts.plan import Unit

_MORE = 1.5  # a unit that was stopped after s seconds gets at least so many times s
_LONGEST_ERROR = 300  # characters


class Status(StrEnum):
    """How a unit ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Records:
    """The records in `folder`."""

    folder: Path

    def bind(self, binding: Mapping[str, Any]) -> None:
        """Bind the folder to a device, dtype and torch version, or check that it is bound to these.

        Raises:
            RecordError: if the folder holds records of another device or setup.
        """
        path = self.folder / "setup.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(
                f"{self.folder}: no folder can be made there ({error.strerror}); choose another --output"
            ) from error
        if path.exists():
            found = _read(path, "choose another --output")
            for name, value in binding.items():
                if found.get(name) != value:
                    raise RecordError(
                        f"{self.folder} holds records of {name} {found.get(name)!r}, this call is of {value!r}; "
                        "choose another --output"
                    )
        else:
            _write(path, dict(binding))

    def path(self, unit: Unit) -> Path:
        """The file of a unit's record."""
        return self.folder / "parts" / f"{unit.key}.json"

    def read(self, unit: Unit) -> dict[str, Any] | None:
        """A unit's record; None if it has none."""
        path = self.path(unit)
        if not path.exists():
            return None
        found = _read(path)
        complete = {Status.DONE: "measured", Status.FAILED: "error"}
        if found.get("status") not in complete or complete[Status(found["status"])] not in found:
            raise RecordError(f"{path} is no record of a part; delete it to measure the part again")
        return found

    def measured(self, unit: Unit) -> dict[str, Any] | None:
        """The figures of a unit; None unless it is done."""
        found = self.read(unit)
        return found["measured"] if found and found["status"] == Status.DONE else None

    def pending(self, units: Iterable[Unit]) -> list[Unit]:
        """Units without a record."""
        return [unit for unit in units if not self.path(unit).exists()]

    def forget_failed(self, units: Iterable[Unit]) -> None:
        """Delete the records of units that failed, so that they are measured again."""
        for unit in units:
            if (found := self.read(unit)) and found["status"] == Status.FAILED:
                self.path(unit).unlink()

    def done(self, unit: Unit, machine: Mapping[str, Any], seconds: float, measured: Mapping[str, Any]) -> None:
        """Write the record of a unit that was measured in so many seconds, all in all."""
        self._finish(unit, Status.DONE, machine, seconds, measured=dict(measured))

    def failed(self, unit: Unit, machine: Mapping[str, Any], seconds: float, error: str) -> None:
        """Write the record of a unit that failed, with the reason in one line."""
        self._finish(unit, Status.FAILED, machine, seconds, error=one_line(error)[:_LONGEST_ERROR])

    def begin(self, unit: Unit) -> None:
        """Note the unit that is being measured, so that a process that dies names it."""
        _write(self.folder / "begun.json", {"unit": unit.key, "since_s": time.monotonic()})

    def begun(self) -> tuple[str, float] | None:
        """The key of the unit that was being measured when its process ended, and the seconds that it had until now.

        None if the process ended between units.
        """
        path = self.folder / "begun.json"
        if not path.exists():
            return None
        found = _read(path)
        return str(found["unit"]), time.monotonic() - float(found["since_s"])

    def end(self) -> None:
        """Note that no unit is being measured."""
        (self.folder / "begun.json").unlink(missing_ok=True)

    def stopped(self, unit: Unit, seconds: float) -> None:
        """Note that a unit was stopped after so many seconds because the call's time was over."""
        _write(self.folder / "stopped.json", {**self._stopped(), unit.key: seconds})

    def needs_s(self, unit: Unit, *, is_tiny: bool) -> float:
        """Seconds that must be left before a unit is started: more than it had when it was stopped.

        A run of pytest resumes where it was stopped, so that a stop does not make it need more.
        """
        before = 0.0 if unit.part.is_pytest else _MORE * self._stopped().get(unit.key, 0.0)
        return max(unit.needs_s(is_tiny=is_tiny), before)

    def _stopped(self) -> dict[str, float]:
        path = self.folder / "stopped.json"
        return _read(path) if path.exists() else {}

    def _finish(self, unit: Unit, status: Status, machine: Mapping[str, Any], seconds: float, **rest: Any) -> None:
        content = {"unit": unit.key, "part": unit.part, "model": unit.model, "status": status, "seconds": seconds}
        _write(self.path(unit), {**content, **rest, "machine": dict(machine)})


def _read(path: Path, remedy: str = "delete it to measure it again") -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read ({one_line(str(error))}); {remedy}") from error
    if not isinstance(found, dict):
        raise RecordError(f"{path} holds no JSON object; {remedy}")
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())
