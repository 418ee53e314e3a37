"""Consolidation: read all records into one tidy long table, a row per case and metric, each with its baseline."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glu_lib.analysis.alignment import turns
from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.efficiency import energy_quality, energy_sources
from glu_lib.analysis.soundness import check_record, check_rows
from glu_lib.errors import RecordError, one_line
from glu_lib.results.collapse import read_recorded
from glu_lib.results.record import MALFORMED, prompt_format, pruned_layers, read_record
from glu_lib.results.recorded_energy import unlike_windows, wrong_energies
from glu_lib.results.store import Store
from glu_lib.study import Control
from glu_lib.study.cases import CaseKind
from glu_lib.study.settings import Weights

_LONGEST_REASON = 200  # characters
_HEADER = ("case", "done_key", "environment", "timing")
_ABSENT = object()  # equal to no value of a done key
_COUNTED = ("truncated_prompts", "cut_generations", "unknown_requests", "tied_items")
# A level and its baseline may differ in these done-key fields; all others must be equal.
_PRUNING_FIELDS = frozenset(
    {"percent", "method", "divisor", "optipfair", "selection seed", "calibration", "control"}
) | {
    *("layers", "percent of", "scores"),
}


@dataclass(frozen=True, slots=True)
class Consolidation:
    """The content of all records of a results folder.

    `rows` is the tidy table. `problems` has one line for each unusable record or part of one. `headers` holds `case`,
    `done_key`, `environment` and `timing` of each used record, `energy_records` the complete records of workloads,
    `scan_records` those of layer scans.
    """

    rows: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    headers: tuple[dict[str, Any], ...] = ()
    energy_records: tuple[dict[str, Any], ...] = ()
    scan_records: tuple[dict[str, Any], ...] = ()


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
    found: dict[tuple[Any, ...], _Entry] = {}
    for path in store.record_paths():
        try:
            entry = _entry(path, read_record(path), store.relative(path))
        except RecordError as error:
            problems.append(str(error) if str(path) in str(error) else f"{path}: {error}")
        except MALFORMED as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else f"is malformed ({error})"
            problems.append(f"{path}: the record {what}; run the case again with this version")
        else:
            wrong = wrong_energies(entry.record)
            problems += [f"{path}: {line}; tables leave its energy out, run the case again" for line in wrong]
            place = (entry.record["case"]["id"], entry.record["done_key"].get("limit"))
            if place in found:
                entry, other = _preferred(found[place], entry)
                problems.append(f"{other.path}: {entry.path} is of the same case and is used; delete this copy")
            found[place] = entry
    entries, mixed = _without_random(list(found.values()))
    return Consolidation(
        tuple(_with_baselines([(entry.comparable, entry.rows) for entry in entries])),
        tuple(map(one_line, (*problems, *mixed))),
        tuple({name: entry.record[name] for name in _HEADER} for entry in entries),
        tuple(entry.record for entry in entries if entry.record["kind"] == "energy"),
        tuple(entry.record for entry in entries if entry.record["kind"] == CaseKind.LAYERS),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A usable record, its rows, and the fields that its baseline must share."""

    path: Path
    record: dict[str, Any]
    rows: list[dict[str, Any]]
    comparable: str

    @property
    def is_at_home(self) -> bool:
        """Whether the file is in its own level's folder and its name starts with its case's id."""
        case = self.record["case"]
        return self.path.parent.name == case["level"] and self.path.name.startswith(str(case["id"]))


def _entry(path: Path, record: dict[str, Any], name: str) -> _Entry:
    """Check a record and build its entry.

    Raises:
        RecordError, or one of MALFORMED: if the record cannot be used.
    """
    check_record(record)
    if record["kind"] == "energy" and (wrong := wrong_energies(record)):
        raise RecordError(f"{wrong[0]}; run the case again")
    rows = list(_rows(record, name))
    check_rows(rows)
    return _Entry(path, record, rows, _comparable(record))


def _preferred(first: _Entry, second: _Entry) -> tuple[_Entry, _Entry]:
    """Two records of one case, the preferred one first: a file in its own folder, then the newer one."""

    def rank(entry: _Entry) -> tuple[bool, str]:
        return entry.is_at_home, str(entry.record["timing"]["started_at"])

    other, better = sorted((first, second), key=rank)
    return better, other


def _without_random(entries: list[_Entry]) -> tuple[list[_Entry], list[str]]:
    """Leave out the records of random weights if there are also records of real weights; name each in a message."""
    random = [entry for entry in entries if entry.record["done_key"].get("weights") == Weights.RANDOM]
    if len(random) in (0, len(entries)):
        return entries, []
    paths = {entry.path for entry in random}
    lines = [f"{path}: random weights among real weights; move it to another results folder" for path in paths]
    return [entry for entry in entries if entry.path not in paths], sorted(lines)


def _rows(record: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
    """The tidy rows of one record, without baselines."""
    case, pruning, environment = record["case"], record["pruning"], record["environment"]
    repeats = record.get("repeats")
    # A wrong energy, or one of more than the work alone, enters no table; the record's score does.
    unfit = next(iter(wrong_energies(record)), None) or unlike_windows(record)
    energy = {} if unfit else record.get("energy") or {}
    reason = unfit or energy.get("total_reason")
    quality = energy_quality(repeats) if repeats else energy.get("quality")
    control = Control(case["control"]) if case.get("control") is not None else None
    weights = Weights.RANDOM if control is Control.UNTRAINED else record["done_key"].get("weights", Weights.REAL)
    shared = {
        "case": case["id"],
        "kind": record["kind"],
        "model": case["model"],
        "control": control.label if control else None,
        # Not the record's 0 or 100: a reader of the table would take the row for a level.
        "percent": None if control else case["percent"],
        "method": case["method"],
        "divisor": case["divisor"],
        "layers": pruned_layers(record),
        "width": pruning["width"],
        "expansion_ratio": pruning["expansion_ratio"],
        "parameters": pruning["parameters"],
        "suites": " ".join(case["suites"]),
        "subject": case["subject"],
        "limit": record["done_key"].get("limit"),
        "energy_j": energy.get("total_j"),
        "energy_quality": quality,
        # The window of a resumed case covers only its last part, so it is not the time of the case.
        "window_s": None if record.get("resumed") else energy.get("window_s"),
        "is_exclusive": _is_exclusive(record),
        "weights": str(weights),
        "dtype": environment["dtype"],
        "device": environment["gpu"] or environment["cpu"],
        "run": _digest(environment),
        "git_commit": environment["git_commit"],
        "started_at": record["timing"]["started_at"],
        "record": path,
        # The fields below are not columns of the tidy table: they serve the notes below tables.
        "measured_as": _shared_fields(record),
        "generation_settings": _generation_settings(record),
        "turns": turns(record),
        "energy_reason": one_line(str(reason))[:_LONGEST_REASON] if reason else None,
    }
    for values in _values(record):
        yield {**dict.fromkeys(COLUMNS), **shared, **values}


def _generation_settings(record: dict[str, Any]) -> dict[str, str]:
    """Settings of the model's generation configuration that change greedy answers, by name, as text of one line."""
    found = (record.get("score") or {}).get("generation_settings") or {}
    return {one_line(name)[:_LONGEST_REASON]: one_line(str(value))[:_LONGEST_REASON] for name, value in found.items()}


def _is_exclusive(record: dict[str, Any]) -> bool | None:
    """Whether no other process used the machine during any window of a record; None if that was not checked."""
    conditions = [
        record.get("conditions"),
        record.get("idle"),
        *(r.get("conditions") for r in record.get("repeats") or ()),
    ]
    said = [found["exclusive"] for found in conditions if found]
    return all(said) if said else None


def _digest(environment: dict[str, Any]) -> str:
    """Hash of an environment: equal for records from the same hardware, versions and commit."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:8]


def _values(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Metric columns of a record's rows: lm-eval's values, a workload's figures, or the parameter count."""
    if record["kind"] == "accuracy":
        score = record["score"]
        headline = score["headline"]
        # Early records hold only the requested number of examples.
        shots = score.get("num_fewshot", record["done_key"].get("few-shot"))
        prompted = {"prompt_format": str(prompt_format(record)), "num_fewshot": shots}
        for value in score["metrics"]:
            is_headline = all(value[name] == headline[name] for name in ("task", "metric", "filter"))
            meaning = {name: headline[name] for name in ("higher_is_better", "chance")} if is_headline else {}
            named = {name: value[name] for name in ("task", "metric", "filter")}
            if "is_collapsed" in value:
                named |= {name: value.get(name) for name in ("value", "stderr", "is_collapsed", "log_value")}
            else:
                found = (str(value["metric"]), value["value"], value["stderr"])
                named |= read_recorded(*found, higher_is_better=meaning.get("higher_is_better"))
            cut = {name: score.get(name) for name in _COUNTED}
            yield {**named, **cut, **prompted, "n": value["count"], "is_headline": is_headline, **meaning}
    for name, summary in (record.get("profile") or {}).items():
        better = {"higher_is_better": name == "tokens_per_s"}
        interval = {side: summary.get(side) for side in ("interval_low", "interval_high")}
        value = {"metric": name, "value": summary["mean"], "n": summary["n"], **interval}
        if name.endswith("_j"):
            value["parts"] = energy_sources(record)  # not a column: a baseline must have the same parts and sources
        yield {
            "task": record["case"]["subject"],
            "is_headline": name == "energy_per_token_j",
            **value,
            **better,
        }
    if record["kind"] == CaseKind.LAYERS:
        yield {
            "task": record["case"]["subject"],
            "metric": "log_perplexity",
            "value": record["scan"]["pruned"],
            "higher_is_better": False,
            "is_headline": True,
        }
    if record["kind"] == "architecture":
        yield {
            "task": "architecture",
            "metric": "parameters",
            "value": record["pruning"]["parameters"],
            "is_headline": True,
        }


def _comparable(record: dict[str, Any]) -> str:
    """The fields that a record and its baseline must share, as text."""
    return json.dumps(_shared_fields(record), sort_keys=True)


def _shared_fields(record: dict[str, Any]) -> dict[str, Any]:
    """The fields that a record and its baseline must share: the done key without its pruning fields."""
    key = {name: value for name, value in record["done_key"].items() if name not in _PRUNING_FIELDS}
    if record["kind"] == "energy":  # speed depends on the threads that were used, and the done key holds only --threads
        key["threads"] = record["runtime"]["threads"]
        key["outside"] = record["environment"].get("outside") or {}
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
