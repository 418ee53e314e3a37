"""The tidy long table: its columns, and how it is written as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.results.writing import write_atomically

# One tuple drives CSV, JSON and the tables. Energy and window are the case's, the same in each of its rows.
Row = dict[str, Any]  # one case and metric, a value for each of COLUMNS

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
    "prompt_format",
    "num_fewshot",
    "is_headline",
    "higher_is_better",
    "chance",
    "value",
    "is_collapsed",
    "log_value",
    "stderr",
    "interval_low",
    "interval_high",
    "n",
    "limit",
    "truncated_prompts",
    "cut_generations",
    "unknown_requests",
    "tied_items",
    "baseline",
    "delta",
    "delta_low",
    "delta_high",
    "relative_delta",
    "test",
    "pairs",
    "p",
    "p_holm",
    "is_at_chance",
    "energy_j",
    "energy_quality",
    "window_s",
    "is_exclusive",
    "weights",
    "dtype",
    "device",
    "run",
    "git_commit",
    "started_at",
    "record",
)

TEXTS = frozenset(
    {
        "case",
        "kind",
        "model",
        "method",
        "suites",
        "subject",
        "task",
        "metric",
        "filter",
        "test",
        "prompt_format",
        "energy_quality",
    }
    | {"weights", "dtype", "device", "run", "git_commit", "started_at", "record"}
)
FLAGS = frozenset({"is_headline", "higher_is_better", "is_collapsed", "is_at_chance", "is_exclusive"})
COUNTS = frozenset(
    {"percent", "divisor", "width", "parameters", "n", "limit", "pairs"}
    | {"truncated_prompts", "cut_generations", "unknown_requests", "tied_items", "num_fewshot"}
)

# Columns of numbers: finite ones, or None.
NUMBERS = tuple(column for column in COLUMNS if column not in TEXTS | FLAGS)


def write_tables(results_dir: Path, rows: Iterable[dict[str, Any]]) -> tuple[Path, ...]:
    """Write `results.csv`, `results.json` and `results.parquet` below `results_dir`; returns their paths.

    Numbers are written in full; null is an empty CSV field. Parquet has one type per column, whatever the rows hold.

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
            f"{results_dir}: tables cannot be written ({error.strerror}); free space or rights"
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
        column: pyarrow.string()
        if column in TEXTS
        else pyarrow.bool_()
        if column in FLAGS
        else pyarrow.int64()
        if column in COUNTS
        else pyarrow.float64()
        for column in COLUMNS
    }
    # JSON's integers have no size: one in a column of floats becomes a float here, where Arrow would refuse it.
    floats = [column for column in NUMBERS if column not in COUNTS]
    rows = [row | {column: float(row[column]) for column in floats if isinstance(row[column], int)} for row in rows]
    buffer = io.BytesIO()
    schema = pyarrow.schema(list(types.items()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    return buffer.getvalue()
