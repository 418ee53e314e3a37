"""Checks that a record, from whatever source, can enter the tables: one-line texts, finite numbers, no gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from glu_lib.analysis.alignment import FIGURES
from glu_lib.analysis.columns import COUNTS, FLAGS, NUMBERS, TEXTS
from glu_lib.analysis.efficiency import Efficiency, efficiencies
from glu_lib.analysis.scans import EXPLANATIONS, recommended_text
from glu_lib.errors import RecordError, one_line
from glu_lib.results.collapse import LIMIT
from glu_lib.results.staleness import SCHEMA_VERSION
from glu_lib.study.cases import CaseKind

_LARGEST_COUNT = 2**62  # tables hold counts in 64 bits
_LONGEST_TEXT = 500  # characters
_FORMULA = ("=", "+", "-", "@")
_NUMBER = (int, float)
_FLAG = (bool, type(None))
_REQUIRED = ("case", "kind", "model", "percent", "width", "expansion_ratio", "parameters", "subject", "started_at")


def check_record(record: Mapping[str, Any]) -> None:
    """Check a record's schema, kind, versions, and the values of workloads and layer scans.

    Raises:
        RecordError: naming the defect, without the record's path.
    """
    schema = record["done_key"].get("schema")
    if schema != SCHEMA_VERSION:
        raise RecordError(
            f"a record of schema {_shown(schema)}, this version reads {SCHEMA_VERSION}; run the case again"
        )
    if record["kind"] not in list(CaseKind):
        raise RecordError(f"kind {_shown(record['kind'])}, not one of {', '.join(CaseKind)}; run the case again")
    if record["kind"] != CaseKind.ACCURACY and record["case"].get("control") is not None:
        raise RecordError(f"a control of kind {record['kind']}, but controls have scores only; delete it")
    versions = record["environment"].get("versions", {})
    for value in (*versions.keys(), *versions.values()):
        _check_text("version", value)
    if record["kind"] == CaseKind.ENERGY:
        _check_energy(record)
    if record["kind"] == CaseKind.LAYERS:
        _check_scan(record)


def check_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Check that the cells of a record's rows have their columns' types: finite numbers, texts of one line.

    A NaN or a text among numbers would spoil every mean, and a line break or an escape sequence in a text every table.

    Raises:
        RecordError: naming the column and its value.
    """
    if not any(row["is_headline"] for row in rows):
        raise RecordError("the record has no headline figure; run the case again")
    for row in rows:
        for column in _REQUIRED:
            if row[column] is None and not (column == "percent" and row["control"]):
                raise RecordError(f"{column} is missing; run the case again")
        for column in TEXTS:
            value = row[column]
            if value is not None:
                _check_text(column, value)
        for column in FLAGS:
            if type(row[column]) not in _FLAG:
                raise RecordError(f"{column} is {_shown(row[column])}, not true or false; run the case again")
        for column in NUMBERS:
            value = row[column]
            if value is not None and not _is_possible(value):
                raise RecordError(f"{column} is {_shown(value)}, not a finite number; run the case again")
        _check_collapse(row)
        if row["chance"] is not None and not 0 <= row["chance"] <= 1:
            raise RecordError(f"chance is {_shown(row['chance'])}, not a share from 0 to 1; run the case again")
        for column in COUNTS:
            value = row[column]
            if value is not None and not (type(value) is int and -_LARGEST_COUNT <= value <= _LARGEST_COUNT):
                raise RecordError(f"{column} is {_shown(row[column])}, not a count; run the case again")


def _check_collapse(row: Mapping[str, Any]) -> None:
    """Check that a collapsed value is null, with a logarithm above that of the limit, and others have no logarithm."""
    logarithm = row["log_value"]
    if row["is_collapsed"] and (row["value"] is not None or row["higher_is_better"]):
        what = "a score where higher is better" if row["higher_is_better"] else f"value {_shown(row['value'])}"
        raise RecordError(f"is_collapsed is true for {what}; run the case again")
    if logarithm is not None and not (row["is_collapsed"] and logarithm > math.log(LIMIT)):
        raise RecordError(
            f"log_value is {_shown(logarithm)}, not the logarithm of a collapsed value; run the case again"
        )


def has_its_types(found: Any) -> bool:
    """Whether the fields of a dataclass have their declared types, and numbers are finite."""
    for name, expected in type(found).__annotations__.items():
        value = getattr(found, name)
        if value is None and "None" in expected:
            continue
        if "str" in expected and not isinstance(value, str):
            return False
        if "bool" in expected and not isinstance(value, bool):
            return False
        if ("float" in expected or "int" in expected) and not _is_possible(value):
            return False
    return True


def _check_energy(record: Mapping[str, Any]) -> None:
    """Check that a workload's record has all values that tables and figures read."""
    if not record["repeats"]:
        raise RecordError("the energy record has no repeats; run the case again")
    for repeat in record["repeats"]:
        if not isinstance(repeat["seed"], int):
            raise RecordError(f"a repeat's seed is {_shown(repeat['seed'])}, not a number; run the case again")
        for name, (_, read) in FIGURES.items():
            _check_number(name, read(repeat))
    (found,) = (asdict(item) for item in efficiencies([record]))
    for name, expected in Efficiency.__annotations__.items():
        if found[name] is None and "None" not in expected:
            raise RecordError(f"{name} is missing; run the case again")
        if "str" in expected:
            _check_texts(found, [name])
        else:
            _check_number(name, found[name])


def _check_scan(record: Mapping[str, Any]) -> None:
    """Check that a layer scan has a finite number for each layer, and that its steps and its advice fit together."""
    scan, count = record["scan"], len(record["pruning"]["widths"])
    for name, value in (("model", record["done_key"]["model"]), ("method", record["case"]["method"])):
        _check_text(name, value)
    for name in ("text", "recommended"):
        _check_text(name, scan[name])
    for name in ("rows", "row_tokens", "targets", "layers_run", "layers_whole"):
        _check_count(name, scan[name])
    for name in ("alone", "all_but"):
        _check_list(name, scan[name], count)
    values = [*scan["alone"], *scan["all_but"], scan["pruned"]]
    values += [step[name] for step in scan["steps"] for name in ("predicted", "measured")]
    for value in (*values, scan["scan_s"]):
        _check_needed("a number of the layer scan", value)
    _check_needed("unpruned", scan["unpruned"])
    if not count or min(values) < 0 or not 0 <= scan["unpruned"] <= math.log(LIMIT):
        raise RecordError("the layer scan has no layer, or an impossible log-perplexity; run the case again")
    _check_spared(scan, count)
    _check_removed(record["pruning"].get("removed"), count)


def _check_spared(scan: Mapping[str, Any], count: int) -> None:
    """Check that spared layers exist, were measured in a step, and are those that the recommended layers leave out."""
    for spared in (scan["spared"], *(step["spared"] for step in scan["steps"])):
        _check_layers("spared", spared, count)
    steps = [step["spared"] for step in scan["steps"]]
    if [] not in steps or scan["spared"] not in steps:
        raise RecordError(f"spared is {_shown(scan['spared'])}, which no step measured; run the case again")
    if scan["recommended"] != recommended_text(scan["spared"], count):
        raise RecordError(
            f"recommended is {_shown(scan['recommended'])}, not the layers beside spared {_shown(scan['spared'])}; "
            "run the case again"
        )


def _check_removed(removed: Mapping[str, Any] | None, count: int) -> None:
    """Check what was removed from each layer: known layers, and for each a number or None; shares from 0 to 1."""
    if removed is None:
        return
    _check_layers("removed layers", removed["layers"], count)
    for name in EXPLANATIONS:
        _check_list(name, removed[name], len(removed["layers"]))
        for value in removed[name]:
            _check_number(name, value)
            if value is not None and not 0 <= value <= (1 if name.endswith("_share") else LIMIT):
                raise RecordError(f"{name} is {_shown(value)}, outside its range; run the case again")


def _check_layers(name: str, layers: Any, count: int) -> None:
    known = isinstance(layers, list) and all(type(layer) is int and 0 <= layer < count for layer in layers)
    if not known or layers != sorted(set(layers)):
        raise RecordError(f"{name} is {_shown(layers)}, not layers from 0 to {count - 1}; run the case again")


def _check_list(name: str, values: Any, count: int) -> None:
    if not isinstance(values, list) or len(values) != count:
        raise RecordError(f"{name} is {_shown(values)}, not a list of {count} values; run the case again")


def _check_count(name: str, value: Any) -> None:
    if not (type(value) is int and 0 <= value <= _LARGEST_COUNT):
        raise RecordError(f"{name} is {_shown(value)}, not a count; run the case again")


def _check_needed(name: str, value: Any) -> None:
    if value is None:
        raise RecordError(f"{name} is missing; run the case again")
    _check_number(name, value)


def _check_texts(values: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if values[name] is not None:
            _check_text(name, values[name])


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise RecordError(f"{name} is {_shown(value)}, not a text of one line; run the case again")
    if value.startswith(_FORMULA):
        raise RecordError(f"{name} is {_shown(value)}, which spreadsheets read as a formula; run the case again")


def _check_number(name: str, value: Any) -> None:
    if value is not None and not _is_possible(value):
        raise RecordError(f"{name} is {_shown(value)}, not a finite number; run the case again")


def _is_possible(value: Any) -> bool:
    # `type` and not isinstance: bool is a subclass of int. NaN fails both comparisons.
    return type(value) in _NUMBER and -LIMIT <= value <= LIMIT


def _shown(value: Any) -> str:
    """A value of any type and size as a short printable text."""
    try:
        text = one_line(repr(value))
    except (ValueError, RecursionError):  # an integer with thousands of digits, or too deep nesting
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else f"{text[:59]}…"
