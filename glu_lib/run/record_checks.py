"""Checks of existing records: whether they have their type, and energies that are impossible or contradictory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.results.record import read_values
from glu_lib.results.records import REMEDY, parse_record
from glu_lib.results.store import Store


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The subject of a check, whether it passed, and the finding with its remedy."""

    subject: str
    is_fine: bool
    text: str


def check_records(store: Store) -> Iterator[CheckResult]:
    """Impossible energies in existing records, and records that do not have their type."""
    seen = 0
    for path in store.record_paths():
        try:
            values = read_values(path)
        except RecordError:
            continue  # consolidation reports unreadable records
        seen += 1
        for line in _doubts(values):
            yield CheckResult("records", False, f"{line} ({path}); run the case again with --rerun")
    if seen:
        yield CheckResult("records", True, f"the energies of {seen} records were checked")


def _doubts(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with a record, or impossible in it, one line each."""
    try:
        return parse_record(values).doubts()
    except RecordError as error:
        return [str(error).removesuffix(f"; {REMEDY}")]
