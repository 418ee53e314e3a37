"""A record of any kind, and reading one from JSON values that may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from glu_lib.errors import RecordError
from glu_lib.results.records.accuracy import AccuracyRecord
from glu_lib.results.records.architecture import ArchitectureRecord
from glu_lib.results.records.done_key import SCHEMA_VERSION
from glu_lib.results.records.energy import EnergyRecord
from glu_lib.results.records.explained import REMEDY, one_line_of, shown
from glu_lib.results.records.layers import LayersRecord
from glu_lib.results.records.serving import ServingRecord

Record = AccuracyRecord | EnergyRecord | ServingRecord | ArchitectureRecord | LayersRecord
AnyRecord = Annotated[Record, Field(discriminator="kind")]  # for the JSON Schema

_TYPES: dict[str, type[Record]] = {
    "accuracy": AccuracyRecord,
    "energy": EnergyRecord,
    "serving": ServingRecord,
    "architecture": ArchitectureRecord,
    "layers": LayersRecord,
}


def parse_record(found: Mapping[str, Any]) -> Record:
    """The record that JSON values hold, checked: types, ranges, and what its fields must have in common.

    Raises:
        RecordError: naming the first defect with its value, without the record's path.
    """
    key, kind = found.get("done_key"), found.get("kind")
    schema = key.get("schema") if isinstance(key, Mapping) else None
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise RecordError(f"a record of schema {shown(schema)}, this version reads {SCHEMA_VERSION}; {REMEDY}")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise RecordError(f"kind {shown(kind)}, not one of {', '.join(_TYPES)}; {REMEDY}")
    try:
        return _TYPES[kind].model_validate(found)
    except ValidationError as error:
        raise RecordError(one_line_of(error)) from error
