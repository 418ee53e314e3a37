"""The reference page and the JSON Schema of records, from their types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from glu_lib.results.records import (
    AccuracyRecord,
    AnyRecord,
    ArchitectureRecord,
    EnergyRecord,
    EnergyWindow,
    LayersRecord,
    ServingRecord,
    Value,
)
from glu_lib.results.records.base import BaseRecord
from glu_lib.results.records.case import Peak
from glu_lib.results.records.energy import Summary
from glu_lib.results.records.values import Part
from glu_lib.results.records.window import ComponentFields, ConditionsFields

# Tables that stand in several places, described once.
_BLOCKS: dict[type[Part], str] = {
    EnergyWindow: "energy window",
    ComponentFields: "part of the machine",
    ConditionsFields: "conditions",
    Peak: "peak memory",
    Value: "value",
    Summary: "summary",
}
_KINDS: dict[str, type[BaseRecord]] = {
    "Scored cases (`accuracy`)": AccuracyRecord,
    "Workloads (`energy`)": EnergyRecord,
    "Growing batches (`serving`)": ServingRecord,
    "Architectures (`architecture`)": ArchitectureRecord,
    "Layer scans (`layers`)": LayersRecord,
}
_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table"}

Row = tuple[str, str, str]


def sections() -> Iterator[tuple[str, list[Row]]]:
    """The sections of the page: title, and a row (field, type, meaning) for each field."""
    of_all = list(_rows(BaseRecord))
    yield "All records", of_all
    names = {name for name, _, _ in of_all}
    for title, kind in _KINDS.items():
        yield title, [row for row in _rows(kind) if row[0] not in names]
    for block, name in _BLOCKS.items():
        yield f"Table: {name}", list(_rows(block))


def schema() -> str:
    """The JSON Schema of a record of any kind, as text."""
    found = TypeAdapter(AnyRecord).json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=1) + "\n"


def _rows(table: type[Part], prefix: str = "") -> Iterator[Row]:
    for name, field in table.model_fields.items():
        place, inner = f"{prefix}{field.alias or name}", _table_in(field.annotation)
        if inner is None or inner in _BLOCKS:
            yield f"`{place}`", _type(field), field.description or ""
            continue
        is_list = "list" in str(field.annotation).split("[")[0]
        if not field.is_required() or is_list:
            yield f"`{place}`", _type(field), field.description or ""
        yield from _rows(inner, f"{place}{'[]' if is_list else ''}.")


def _table_in(annotation: Any) -> type[Part] | None:
    """The table that a field holds, also in a list or beside null."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part))), None)


def _type(field: FieldInfo) -> str:
    absent = "" if field.is_required() else "; may be absent"
    return f"{_word(field.annotation)}{absent}"


def _word(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _word(parts[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in parts)
    if origin is list:
        return f"list of {_word(parts[0])}"
    if origin is dict:
        return "table"
    if NoneType in parts:
        return f"{' or '.join(_word(part) for part in parts if part is not NoneType)} or null"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return f"table: {_BLOCKS[annotation]}" if annotation in _BLOCKS else "table"
    return _WORDS.get(annotation, "any")
