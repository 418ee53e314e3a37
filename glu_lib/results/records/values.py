"""Types of the values in a record, and the base of its tables: finite numbers, counts, texts of one line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from glu_lib.results.collapse import LIMIT

LARGEST_COUNT = 2**62  # tables hold counts in 64 bits
LONGEST_TEXT = 500  # characters
# As `str.isprintable`, and no sign at the beginning that makes a formula in a spreadsheet.
_ONE_LINE = r"^((?:[^\p{C}\p{Z}=+\-@]|\x20)(?:[^\p{C}\p{Z}]|\x20)*)?$"


class Part(BaseModel):
    """A table of a record. It cannot be changed; fields of other versions of the suite are kept as they are."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="allow",
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # a command that reads no record does not wait for the checks to be built
    )

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values under their names in the file; what the file lacks stays absent."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def as_text(self) -> str:
        """The fields as JSON text."""
        return self.model_dump_json(by_alias=True, exclude_unset=True)

    def has(self, name: str) -> bool:
        """Whether the file holds the field; fields that later versions added may be absent."""
        return name in self.model_fields_set


@dataclass(frozen=True, slots=True)
class _Finite:
    """A number from `low` to `high`, both included; whole numbers stay whole. `what` is said of anything else."""

    low: float
    high: float
    what: str

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.union_schema(
            [
                core_schema.int_schema(strict=True, ge=int(self.low), le=int(self.high)),
                core_schema.float_schema(strict=True, ge=self.low, le=self.high, allow_inf_nan=False),
            ],
            mode="left_to_right",
            custom_error_type="number",
            custom_error_message=self.what,
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


Number = Annotated[float, _Finite(-LIMIT, LIMIT, "a finite number")]
AnyNumber = Annotated[float, _Finite(-sys.float_info.max, sys.float_info.max, "a finite number")]
Share = Annotated[float, _Finite(0, 1, "a share from 0 to 1")]
Whole = Annotated[int, Field(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Percent = Annotated[float, _Finite(0, 100, "a percentage from 0 to 100")]
Cell = Annotated[str, Field(max_length=LONGEST_TEXT, pattern=_ONE_LINE)]  # enters tables
