"""Consolidation: read all records into one tidy long table, a row per case and metric, each with its baseline."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.efficiency import energy_quality, energy_sources
from glu_lib.errors import RecordError, one_line
from glu_lib.results.record import MALFORMED, read_record
from glu_lib.results.records import AccuracyRecord, EnergyRecord, LayersRecord, Record
from glu_lib.results.store import Store
from glu_lib.study import Control
from glu_lib.study.settings import Weights

_LONGEST_REASON = 200  # characters
_ABSENT = object()  # equal to no value of a done key
# A level and its baseline may differ in these done-key fields; all others must be equal.
_PRUNING_FIELDS = frozenset(
    {"percent", "method", "divisor", "optipfair", "selection seed", "calibration", "control"}
) | {
    *("layers", "percent of", "scores"),
}
_EMPTY = dict.fromkeys(COLUMNS)


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
    per used record, `energy_records` the complete records of workloads, `scan_records` those of layer scans.
    """

    rows: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    headers: tuple[Header, ...] = ()
    energy_records: tuple[EnergyRecord, ...] = ()
    scan_records: tuple[LayersRecord, ...] = ()


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
    found: dict[tuple[str, int | None], _Entry] = {}
    for path in store.record_paths():
        try:
            entry = _entry(path, read_record(path), store.relative(path))
        except RecordError as error:
            problems.append(str(error))
        except MALFORMED as error:  # a field of another version that JSON cannot hold
            problems.append(f"{path}: the record is malformed ({error}); run the case again with this version")
        else:
            problems += [f"{path}: {line}; tables leave its energy out, run the case again" for line in entry.wrong]
            place = (entry.case, entry.header.limit)
            if place in found:
                entry, other = _preferred(found[place], entry)
                problems.append(f"{other.path}: {entry.path} is of the same case and is used; delete this copy")
            found[place] = entry
    entries, mixed = _without_random(list(found.values()))
    records = [entry.record for entry in entries]
    return Consolidation(
        tuple(_with_baselines([(entry.comparable, entry.rows) for entry in entries])),
        tuple(map(one_line, (*problems, *mixed))),
        tuple(entry.header for entry in entries),
        tuple(record for record in records if isinstance(record, EnergyRecord)),
        tuple(record for record in records if isinstance(record, LayersRecord)),
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
    record: EnergyRecord | LayersRecord | None


def _entry(path: Path, record: Record, name: str) -> _Entry:
    case, environment, measured_as = record.case, record.environment, _shared_fields(record)
    wrong = record.wrong_energies()
    shared = {**_columns(record, name), **_energy_columns(record, wrong), "measured_as": measured_as}
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
        rows=[{**_EMPTY, **shared, **values} for values in _values(record)],
        comparable=json.dumps(measured_as, sort_keys=True),
        wrong=wrong,
        is_at_home=path.parent.name == case.level and path.name.startswith(case.id),
        is_random=record.done_key.weights is Weights.RANDOM,
        record=record if isinstance(record, EnergyRecord | LayersRecord) else None,
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


def _columns(record: Record, path: str) -> dict[str, Any]:
    """The columns that all rows of a record share."""
    case, pruning, environment, control = record.case, record.pruning, record.environment, record.case.control
    weights = Weights.RANDOM if control is Control.UNTRAINED else record.done_key.weights
    return {
        "case": case.id,
        "kind": record.kind,
        "model": case.model,
        "control": control.label if control else None,
        # Not the record's 0 or 100: a reader of the table would take the row for a level.
        "percent": None if control else case.percent,
        "method": case.method,
        "divisor": case.divisor,
        "layers": pruning.pruned_layers,
        "width": pruning.width,
        "expansion_ratio": pruning.expansion_ratio,
        "parameters": pruning.parameters,
        "suites": " ".join(case.suites),
        "subject": case.subject,
        "limit": record.done_key.limit,
        "weights": weights.value,
        "dtype": environment.dtype,
        "device": environment.processor,
        "run": _digest(environment.as_text()),
        "git_commit": environment.git_commit,
        "started_at": record.timing.started_at,
        "record": path,
    }


def _energy_columns(record: Record, wrong: Sequence[str]) -> dict[str, Any]:
    """Energy, window and conditions; with them fields that are no columns, but serve the notes below tables."""
    if isinstance(record, EnergyRecord):
        said = [record.idle.exclusive] if record.idle else []
        said += [repeat.conditions.exclusive for repeat in record.repeats]
        return {
            "energy_quality": energy_quality(record.repeats),
            "is_exclusive": all(said),
            "generation_settings": {},
            "turns": record.turns,
            "energy_reason": None,
        }
    if not isinstance(record, AccuracyRecord):
        return {"generation_settings": {}, "turns": None, "energy_reason": None}
    # A wrong energy, or one of more than the work alone, enters no table; the record's score does.
    unfit = next(iter(wrong), None) or record.unlike_window
    energy = None if unfit else record.energy
    reason = unfit or record.energy.total_reason
    return {
        "energy_j": energy.total_j if energy else None,
        "energy_quality": energy.quality.value if energy and energy.quality else None,
        # The window of a resumed case covers only its last part, so it is not the time of the case.
        "window_s": energy.window_s if energy and not record.resumed else None,
        "is_exclusive": record.conditions.exclusive if record.conditions else None,
        "generation_settings": _generation_settings(record.score.generation_settings),
        "turns": None,
        "energy_reason": one_line(reason)[:_LONGEST_REASON] if reason else None,
    }


def _generation_settings(found: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the model's generation configuration that change greedy answers, by name, as text of one line."""
    return {one_line(name)[:_LONGEST_REASON]: one_line(str(value))[:_LONGEST_REASON] for name, value in found.items()}


@lru_cache  # a folder has few set-ups and many records
def _digest(environment: str) -> str:
    """Hash of an environment, given as JSON: equal for records from the same hardware, versions and commit."""
    return hashlib.sha256(json.dumps(json.loads(environment), sort_keys=True).encode()).hexdigest()[:8]


def _values(record: Record) -> Iterator[dict[str, Any]]:
    """Metric columns of a record's rows: lm-eval's values, a workload's figures, or the parameter count."""
    if isinstance(record, AccuracyRecord):
        yield from _scores(record)
    elif isinstance(record, EnergyRecord):
        yield from _figures(record)
    elif isinstance(record, LayersRecord):
        yield {
            "task": record.case.subject,
            "metric": "log_perplexity",
            "value": record.scan.pruned,
            "higher_is_better": False,
            "is_headline": True,
        }
    else:
        figures = {"metric": "parameters", "value": record.pruning.parameters}
        yield {"task": "architecture", **figures, "is_headline": True}


def _scores(record: AccuracyRecord) -> Iterator[dict[str, Any]]:
    score, headline = record.score, record.score.headline
    shared = {
        "truncated_prompts": score.truncated_prompts,
        "cut_generations": score.cut_generations,
        "unknown_requests": score.unknown_requests,
        "tied_items": score.tied_items,
        "prompt_format": record.case.prompt_format.value,
        # Early records hold only the requested number of examples.
        "num_fewshot": score.num_fewshot if score.has("num_fewshot") else record.done_key.few_shot,
    }
    for value in score.metrics:
        is_headline = value.place == headline.place
        better = headline.higher_is_better if is_headline else None
        yield {
            **shared,
            "task": value.task,
            "metric": value.metric,
            "filter": value.filter,
            **value.recorded(better),
            "n": value.count,
            "is_headline": is_headline,
            **({"higher_is_better": better, "chance": headline.chance} if is_headline else {}),
        }


def _figures(record: EnergyRecord) -> Iterator[dict[str, Any]]:
    sources = energy_sources(record)
    for name, summary in record.profile.figures():
        yield {
            "task": record.case.subject,
            "is_headline": name == "energy_per_token_j",
            "metric": name,
            "value": summary.mean,
            "n": summary.n,
            "interval_low": summary.interval_low,
            "interval_high": summary.interval_high,
            # Not a column: a baseline must have the same parts and sources.
            **({"parts": sources} if name.endswith("_j") else {}),
            "higher_is_better": name == "tokens_per_s",
        }


def _shared_fields(record: Record) -> dict[str, Any]:
    """The fields that a record and its baseline must share: the done key without its pruning fields."""
    key = {name: value for name, value in record.done_key.as_json().items() if name not in _PRUNING_FIELDS}
    if isinstance(record, EnergyRecord):
        # Speed depends on the threads that were used, and the done key holds only --threads.
        key |= {"threads": record.runtime.threads, "outside": record.environment.outside}
    return key


def unlike_fields(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Names of the done-key fields, or `headline metric`, in which a row differs from a baseline but must not."""
    own, first = (found.get("measured_as") or {} for found in (row, baseline))
    metrics = [(found["metric"], found.get("filter")) for found in (row, baseline)]
    names = ["headline metric"] if metrics[0] != metrics[1] else []
    differing = [name for name in {**first, **own} if own.get(name, _ABSENT) != first.get(name, _ABSENT)]
    return [*names, *(one_line(name)[:_LONGEST_REASON] for name in differing)]


def _with_baselines(groups: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
    """Add to each row its baseline's value and the change against it, if there is a baseline.

    delta = value - baseline; relative_delta = delta / baseline (None for a baseline of 0). A collapsed value gets a
    baseline but no delta. A collapsed baseline is not used.
    """
    baselines = {
        _place(comparable, row): row["value"] for comparable, rows in groups for row in rows if row["percent"] == 0
    }
    for comparable, rows in groups:
        for row in rows:
            baseline = None if row["control"] else baselines.get(_place(comparable, row))
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
    return (comparable, row["model"], row["task"], row["metric"], row["filter"], row.get("parts"))
