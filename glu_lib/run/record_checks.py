"""Checks of existing records: energies that are impossible in themselves or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.measure.energy.workload import repeat_claims
from glu_lib.results.consistency import inconsistencies
from glu_lib.results.plausibility import WindowClaim, implausible
from glu_lib.results.record import MALFORMED, read_record
from glu_lib.results.recorded_energy import wrong_energies
from glu_lib.results.store import Store
from glu_lib.study.cases import CaseKind


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The subject of a check, whether it passed, and the finding with its remedy."""

    subject: str
    is_fine: bool
    text: str


def check_records(store: Store) -> Iterator[CheckResult]:
    """Impossible energies in existing records."""
    seen = 0
    for path in store.record_paths():
        try:
            record = read_record(path)
        except RecordError:
            continue  # consolidation reports unreadable records
        seen += 1
        for line in _doubts(record):
            yield CheckResult("records", False, f"{line} ({path}); run the case again with --rerun")
    if seen:
        yield CheckResult("records", True, f"the energies of {seen} records were checked")


def _doubts(record: Mapping[str, Any]) -> list[str]:
    """Energies of a record that are impossible in themselves or contradict each other, one line each."""
    try:
        found = [line for claim in record_claims(record) for line in implausible(claim)]
        found += [f"{record['case']['id']}: {line}" for line in wrong_energies(record)]
        return found + (list(inconsistencies(record)) if record["kind"] == CaseKind.ENERGY else [])
    except MALFORMED as error:
        return [f"the record is not complete ({type(error).__name__}: {error})"]


def record_claims(record: Mapping[str, Any]) -> list[WindowClaim]:
    """The claims of a record about its energy windows."""
    name = str(record["case"]["id"])
    if record["kind"] == CaseKind.ENERGY:
        most = int(record["done_key"]["new tokens"])
        return [claim for repeat in record["repeats"] for claim in repeat_claims(name, repeat, most)]
    energy = record.get("energy")
    if not energy or energy["total_j"] is None:  # null for a resumed case, whose window covers only part of the work
        return []
    parts = {part: energy[part]["energy_j"] for part in ("gpu", "cpu", "ram")}
    return [WindowClaim(name, window_s=energy["window_s"], total_j=energy["total_j"], parts_j=parts)]
