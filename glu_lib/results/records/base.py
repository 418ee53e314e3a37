"""The base of all records: the fields that every kind has, and the texts of its address in tables."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from glu_lib.results.records.case import CaseFields, EnvironmentFields, PruningFields, Timing
from glu_lib.results.records.done_key import DoneKey
from glu_lib.results.records.values import Part

_AT_THE_END = ("environment", "samples", "sha256")  # of the file


class BaseRecord(Part):
    """A record without its measured parts."""

    kind: str = Field(description="`accuracy`, `energy`, `serving`, `architecture` or `layers`")
    case: CaseFields = Field(description="the case")
    done_key: DoneKey = Field(description="what must be equal for the case to count as done")
    pruning: PruningFields = Field(description="the pruning and its result")
    timing: Timing = Field(description="when the case ran, and how long")
    environment: EnvironmentFields = Field(description="the machine and the versions")
    sha256: str | None = Field(None, description="digest of all other fields: a record changed by hand is stale")

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values, in the order of the file; what the file lacks stays absent."""
        found = super().as_json()
        return found | {name: found.pop(name) for name in _AT_THE_END if name in found}

    @property
    def subset(self) -> str | None:
        """Which items were scored, if not the first ones: `spread`, `samples_hard`; only scored cases have one."""
        return None

    def wrong_energies(self) -> list[str]:
        """Energies that this version would reject, one line each; a kind without energies has none."""
        return []

    def doubts(self) -> list[str]:
        """What is impossible in the record, or contradicts itself, without making it unusable; one line each."""
        return []


class UncontrolledRecord(BaseRecord):
    """A record of a kind that controls do not have: they have scores only."""

    @model_validator(mode="after")
    def _check_control(self) -> UncontrolledRecord:
        if self.case.control is not None:
            raise ValueError(f"a control of kind {self.kind}, but controls have scores only; delete it")
        return self
