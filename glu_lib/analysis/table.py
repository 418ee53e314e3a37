"""The tidy long table as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glu_lib.analysis.columns import COLUMNS, TABLE, ColumnType
from glu_lib.errors import RecordError
from glu_lib.results.writing import write_atomically

Row = dict[str, Any]  # one case and metric, a value for each of COLUMNS


LevelKey = int | float | str  # a percentage, or what the level asks for; 0 is the baseline


def row_level(row: Row) -> LevelKey:
    """The level of a row, which no other level of its family has: `40`, `"2.4x"`."""
    return row.get("asked") or row["percent"]  # type: ignore[no-any-return]


def level_text(level: LevelKey) -> str:
    """A level as tables show it: `p40`, `2.4x`."""
    return level if isinstance(level, str) else f"p{level}"


def without_controls(rows: Iterable[Row]) -> list[Row]:
    """The rows of levels: controls are no points of a trend, a curve or a test."""
    return [row for row in rows if row.get("control") is None]


def write_tables(results_dir: Path, rows: Iterable[dict[str, Any]]) -> tuple[Path, ...]:
    """Write `results.csv`, `results.json` and `results.parquet` into `results_dir`; return their paths.

    Numbers are not rounded; null is an empty CSV field. Parquet's column types are fixed, whatever the rows hold.

    Raises:
        RecordError: if they cannot be written.
    """
    ordered = [{column: row[column] for column in COLUMNS} for row in rows]
    contents = {
        "results.csv": _csv(ordered),
        "results.json": json.dumps(ordered, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n",
        "results.parquet": _parquet(ordered),
    }
    try:
        for name, data in contents.items():
            write_atomically(results_dir / name, data)
    except OSError as error:
        raise RecordError(
            f"{results_dir}: tables cannot be written ({error.strerror}); check free space and permissions"
        ) from error
    return tuple(results_dir / name for name in contents)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    types = {
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.FLAG: pyarrow.bool_(),
        ColumnType.COUNT: pyarrow.int64(),
        ColumnType.NUMBER: pyarrow.float64(),
    }
    # A record may hold an integer in a column of floats; Arrow refuses large ones, so they become floats here.
    floats = [column.name for column in TABLE if column.type is ColumnType.NUMBER]
    rows = [row | {column: float(row[column]) for column in floats if isinstance(row[column], int)} for row in rows]
    buffer = io.BytesIO()
    schema = pyarrow.schema([(column.name, types[column.type]) for column in TABLE])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    return buffer.getvalue()
