"""Checks that a record, from whatever source, can enter the tables: one-line texts, finite numbers, no gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from glu_lib.analysis.alignment import FIGURES
from glu_lib.analysis.columns import COUNTS, FLAGS, NUMBERS, TEXTS
from glu_lib.analysis.efficiency import Efficiency, efficiencies
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
    """Check a record's schema, kind, versions and, for workloads, repeats.

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
