"""Records to one tidy long table: a row per case and metric, with its baseline; written as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.store import Store, read_record, write_atomically

# One tuple drives CSV, JSON and the tables. Energy and window are the case's, the same in each of its rows.
COLUMNS = (
    "case",
    "kind",
    "model",
    "percent",
    "method",
    "divisor",
    "width",
    "expansion_ratio",
    "parameters",
    "suites",
    "subject",
    "task",
    "metric",
    "filter",
    "is_headline",
    "higher_is_better",
    "chance",
    "value",
    "stderr",
    "interval_low",
    "interval_high",
    "n",
    "limit",
    "truncated_prompts",
    "cut_generations",
    "baseline",
    "delta",
    "relative_delta",
    "energy_j",
    "energy_quality",
    "window_s",
    "dtype",
    "device",
    "git_commit",
    "started_at",
    "record",
)

# Done-key fields in which a level may differ from its baseline; all others must be equal.
_PRUNING_FIELDS = frozenset({"percent", "method", "divisor", "optipfair", "selection seed", "calibration"})


@dataclass(frozen=True, slots=True)
class Consolidation:
    """The tidy rows, one line for each record that could not be used, and the energy records with their repeats."""

    rows: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    energy_records: tuple[dict[str, Any], ...] = ()


def consolidate(results_dir: Path) -> Consolidation:
    """Read every record under `results_dir`; unreadable ones are named and left out, never changed.

    Raises:
        RecordError: if there is no results folder there.
    """
    if not results_dir.is_dir():
        raise RecordError(f"{results_dir} is no folder; name the results folder of a run")
    store = Store(results_dir)
    groups: list[tuple[str, list[dict[str, Any]]]] = []
    problems, energy_records = [], []
    for path in store.record_paths():
        try:
            record = read_record(path)
            groups.append((_comparable(record), list(_rows(record, store.relative(path)))))
            if record["kind"] == "energy":
                energy_records.append(record)
        except RecordError as error:
            problems.append(str(error))
        except (KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path}: the record lacks {error}; run the case again with this version")
    return Consolidation(tuple(_with_baselines(groups)), tuple(problems), tuple(energy_records))


def write_tables(results_dir: Path, rows: Iterable[dict[str, Any]]) -> tuple[Path, Path]:
    """Write `results.csv` and `results.json` below `results_dir`; returns their paths.

    Numbers are written in full; null is an empty CSV field.

    Raises:
        RecordError: if they cannot be written.
    """
    ordered = [{column: row[column] for column in COLUMNS} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    csv_path, json_path = results_dir / "results.csv", results_dir / "results.json"
    try:
        write_atomically(csv_path, text.getvalue().encode())
        write_atomically(json_path, json.dumps(ordered, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n")
    except OSError as error:
        raise RecordError(
            f"{results_dir}: tables cannot be written ({error.strerror}); free space or rights"
        ) from error
    return csv_path, json_path


def _rows(record: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
    """The tidy rows of one record, without baseline."""
    case, pruning, environment = record["case"], record["pruning"], record["environment"]
    repeats = record.get("repeats") or [{}]
    energy = record.get("energy") or {}
    quality = energy.get("quality") or (repeats[0].get("energy") or {}).get("quality")
    shared = {
        "case": case["id"],
        "kind": record["kind"],
        "model": case["model"],
        "percent": case["percent"],
        "method": case["method"],
        "divisor": case["divisor"],
        "width": pruning["width"],
        "expansion_ratio": pruning["expansion_ratio"],
        "parameters": pruning["parameters"],
        "suites": " ".join(case["suites"]),
        "subject": case["subject"],
        "limit": record["done_key"].get("limit"),
        "energy_j": energy.get("total_j"),
        "energy_quality": quality,
        "window_s": energy.get("window_s"),
        "dtype": environment["dtype"],
        "device": environment["gpu"] or environment["cpu"],
        "git_commit": environment["git_commit"],
        "started_at": record["timing"]["started_at"],
        "record": path,
    }
    for values in _values(record):
        yield {**dict.fromkeys(COLUMNS), **shared, **values}


def _values(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Metric columns of a record: lm-eval's values, a workload's figures, or the parameter count."""
    if record["kind"] == "accuracy":
        score = record["score"]
        headline = score["headline"]
        for value in score["metrics"]:
            is_headline = all(value[name] == headline[name] for name in ("task", "metric", "filter"))
            meaning = {name: headline[name] for name in ("higher_is_better", "chance")} if is_headline else {}
            named = {name: value[name] for name in ("task", "metric", "filter", "value", "stderr")}
            cut = {name: score.get(name) for name in ("truncated_prompts", "cut_generations")}
            yield {**named, **cut, "n": value["count"], "is_headline": is_headline, **meaning}
    for name, summary in (record.get("profile") or {}).items():
        better = {"higher_is_better": name == "tokens_per_s"}
        interval = {side: summary.get(side) for side in ("interval_low", "interval_high")}
        value = {"metric": name, "value": summary["mean"], "n": summary["n"], **interval}
        yield {
            "task": record["case"]["subject"],
            "is_headline": name == "energy_per_token_j",
            **value,
            **better,
        }
    if record["kind"] == "architecture":
        yield {
            "task": "architecture",
            "metric": "parameters",
            "value": record["pruning"]["parameters"],
            "is_headline": True,
        }


def _comparable(record: dict[str, Any]) -> str:
    """What a record and its baseline must share: the done key without its pruning fields."""
    key = {name: value for name, value in record["done_key"].items() if name not in _PRUNING_FIELDS}
    return json.dumps(key, sort_keys=True)


def _with_baselines(groups: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
    """Add to each row the value of its unpruned baseline and the change against it, where there is one.

    delta = value - baseline; relative_delta = delta / baseline (None for a baseline of 0).
    """
    baselines = {
        _place(comparable, row): row["value"] for comparable, rows in groups for row in rows if row["percent"] == 0
    }
    for comparable, rows in groups:
        for row in rows:
            baseline = baselines.get(_place(comparable, row))
            if baseline is not None and row["value"] is not None:
                delta = row["value"] - baseline
                row |= {
                    "baseline": baseline,
                    "delta": delta,
                    "relative_delta": delta / baseline if baseline else None,
                }
            yield row


def _place(comparable: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return (comparable, row["model"], row["task"], row["metric"], row["filter"])
