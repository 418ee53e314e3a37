"""Consolidation: read all records into one tidy long table, a row per case and metric, each with its baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glu_lib.analysis.record_rows import LONGEST_REASON, rows_of
from glu_lib.analysis.zero_shot import add_zero_shot_means
from glu_lib.errors import RecordError, one_line
from glu_lib.results.record import MALFORMED, read_record
from glu_lib.results.records import EnergyRecord, LayersRecord, Record, ServingRecord
from glu_lib.results.store import Store
from glu_lib.study.settings import Weights

_ABSENT = object()  # equal to no value of a done key


@dataclass(frozen=True, slots=True)
class Header:
    """What a used record says of its model and its run; `versions` are (package, version)."""

    model: str
    device: str
    dtype: str
    versions: tuple[tuple[str, str], ...]
    git_commit: str | None
    limit: int | None
    started_at: str


@dataclass(frozen=True, slots=True)
class Consolidation:
    """The content of all records of a results folder.

    `rows` is the tidy table. `problems` has one line for each unusable record or part of one. `headers` has one header
    per used record, `energy_records` the complete records of workloads, `scan_records` those of layer scans,
    `serving_records` those of growing batches.
    """

    rows: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    headers: tuple[Header, ...] = ()
    energy_records: tuple[EnergyRecord, ...] = ()
    scan_records: tuple[LayersRecord, ...] = ()
    serving_records: tuple[ServingRecord, ...] = ()


def consolidate(results_dir: Path) -> Consolidation:
    """Read every record under `results_dir`; unusable records are reported and left out, never changed.

    If a case has several records (copies left by a syncing drive or a merge), the newest is used.

    Raises:
        RecordError: if `results_dir` is not a folder.
    """
    if not results_dir.is_dir():
        raise RecordError(f"{results_dir} is not a folder; name the results folder of a run")
    store = Store(results_dir)
    problems: list[str] = []
    found: dict[tuple[str, int | None, str | None], _Entry] = {}
    for path in store.record_paths():
        try:
            entry = _entry(path, read_record(path), store.relative(path))
        except RecordError as error:
            problems.append(str(error))
        except MALFORMED as error:  # a field of another version that JSON cannot hold
            problems.append(f"{path}: the record is malformed ({error}); run the case again with this version")
        else:
            problems += [f"{path}: {line}; tables leave its energy out, run the case again" for line in entry.wrong]
            place = (entry.case, entry.header.limit, entry.rows[0]["subset"])
            if place in found:
                entry, other = _preferred(found[place], entry)
                problems.append(f"{other.path}: {entry.path} is of the same case and is used; delete this copy")
            found[place] = entry
    entries, mixed = _without_random(list(found.values()))
    records = [entry.record for entry in entries]
    rows = tuple(_with_baselines([(entry.comparable, entry.rows) for entry in entries]))
    add_zero_shot_means(rows)
    return Consolidation(
        rows,
        tuple(map(one_line, (*problems, *mixed))),
        tuple(entry.header for entry in entries),
        tuple(record for record in records if isinstance(record, EnergyRecord)),
        tuple(record for record in records if isinstance(record, LayersRecord)),
        tuple(record for record in records if isinstance(record, ServingRecord)),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept of a usable record: its rows, the fields that its baseline must share, and its header.

    `record` is None where the rows say all: ten thousand records of scored cases would fill the memory. `is_at_home`:
    the file is in its own level's folder and its name starts with its case's id.
    """

    path: Path
    case: str
    header: Header
    rows: list[dict[str, Any]]
    comparable: str
    wrong: list[str]
    is_at_home: bool
    is_random: bool
    record: EnergyRecord | LayersRecord | ServingRecord | None


def _entry(path: Path, record: Record, name: str) -> _Entry:
    case, environment, wrong = record.case, record.environment, record.wrong_energies()
    rows = rows_of(record, name, wrong)
    return _Entry(
        path,
        case.id,
        Header(
            model=case.model,
            device=environment.processor,
            dtype=environment.dtype,
            versions=tuple(sorted(environment.versions.items())),
            git_commit=environment.git_commit,
            limit=record.done_key.limit,
            started_at=record.timing.started_at,
        ),
        rows=rows,
        comparable=json.dumps(rows[0]["measured_as"], sort_keys=True),
        wrong=wrong,
        is_at_home=path.parent.name == case.level and path.name.startswith(case.id),
        is_random=record.done_key.weights is Weights.RANDOM,
        record=record if isinstance(record, EnergyRecord | LayersRecord | ServingRecord) else None,
    )


def _preferred(first: _Entry, second: _Entry) -> tuple[_Entry, _Entry]:
    """Two records of one case, the preferred one first: a file in its own folder, then the newer one."""
    other, better = sorted((first, second), key=lambda entry: (entry.is_at_home, entry.header.started_at))
    return better, other


def _without_random(entries: list[_Entry]) -> tuple[list[_Entry], list[str]]:
    """Leave out the records of random weights if there are also records of real weights; name each in a message."""
    random = [entry for entry in entries if entry.is_random]
    if len(random) in (0, len(entries)):
        return entries, []
    paths = {entry.path for entry in random}
    lines = [f"{path}: random weights among real weights; move it to another results folder" for path in paths]
    return [entry for entry in entries if entry.path not in paths], sorted(lines)


def unlike_fields(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Names of the done-key fields, or `headline metric`, in which a row differs from a baseline but must not."""
    own, first = (found.get("measured_as") or {} for found in (row, baseline))
    metrics = [(found["metric"], found.get("filter")) for found in (row, baseline)]
    names = ["headline metric"] if metrics[0] != metrics[1] else []
    differing = [name for name in {**first, **own} if own.get(name, _ABSENT) != first.get(name, _ABSENT)]
    return [*names, *(one_line(name)[:LONGEST_REASON] for name in differing)]


def _with_baselines(groups: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
    """Add to each row its baseline's value and the change against it, if there is a baseline.

    delta = value - baseline; relative_delta = delta / baseline (None for a baseline of 0). A collapsed value gets a
    baseline but no delta. A collapsed baseline is not used. A checkpoint that is compared with another model gets its
    baseline in `recovered`.
    """
    baselines = {
        _place(comparable, row): row["value"] for comparable, rows in groups for row in rows if row["percent"] == 0
    }
    for comparable, rows in groups:
        for row in rows:
            baseline = None if row["control"] or row["baseline_model"] else baselines.get(_place(comparable, row))
            if baseline is not None and row["is_collapsed"]:
                row["baseline"] = baseline
            elif baseline is not None and row["value"] is not None:
                delta = row["value"] - baseline
                relative = delta / baseline if baseline else math.inf
                row |= {
                    "baseline": baseline,
                    "delta": delta,
                    "relative_delta": relative if math.isfinite(relative) else None,
                }
            yield row


def _place(comparable: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return (comparable, row["model"], row["task"], row["metric"], row["filter"], row["batch_size"], row.get("parts"))
