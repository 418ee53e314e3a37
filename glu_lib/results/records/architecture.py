"""The record of a bare architecture: exact widths and parameter counts, without weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glu_lib.results.records.base import UncontrolledRecord
from glu_lib.results.records.done_key import ArchitectureKey


class ArchitectureRecord(UncontrolledRecord):
    """The record of a bare architecture; its figures stand in `pruning`."""

    kind: Literal["architecture"] = Field(description="what was measured")
    done_key: ArchitectureKey = Field(description="what must be equal for the case to count as done")
