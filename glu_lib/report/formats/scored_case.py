"""A scored case to be exported: its record, and where that lies."""

from __future__ import annotations

from dataclasses import dataclass

from glu_lib.results.records import AccuracyRecord


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """A record and its path relative to the results folder, which leads to lm-eval's files of the case."""

    record: AccuracyRecord
    name: str
