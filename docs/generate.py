"""Write the reference pages from the code: `python docs/generate.py`. A test checks that they are current."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # this folder is no package

import record_page
from markdown_tables import table
from study_pages import study_file_page, study_page
from usage_pages import commands_page, options_page

from glu_lib.analysis.columns import TABLE

FOLDER = Path(__file__).resolve().parent / "reference"
_NOTE = "<!-- written by `python docs/generate.py`; do not edit -->"


def pages() -> dict[str, str]:
    """The text of each reference page, by file name."""
    written = {
        f"{name}.md": "\n".join((_NOTE, "", *lines)).rstrip() + "\n"
        for name, lines in (
            ("options", options_page()),
            ("commands", commands_page()),
            ("study", study_page()),
            ("study-file", study_file_page()),
            ("record", _record()),
            ("columns", _columns()),
        )
    }
    return written | {"record.schema.json": record_page.schema()}


def _record() -> Iterator[str]:
    yield "# Record"
    yield ""
    yield "Each finished case leaves a JSON file, `individual_files/<model>/<level>/<case>.json` in the results folder."
    yield "Numbers are numbers; what cannot be read is null, never 0, and a field beside it gives the reason."
    yield "Fields that later versions added may be absent in older records; fields that are not listed are kept."
    yield "[record.schema.json](record.schema.json) is the JSON Schema."
    for title, rows in record_page.sections():
        yield ""
        yield f"## {title}"
        yield ""
        yield from table(("field", "type", "meaning"), rows)


def _columns() -> Iterator[str]:
    yield "# Columns of the table"
    yield ""
    yield "`glu consolidate` writes `results.csv`, `results.json` and `results.parquet`: one row per case and metric."
    yield "Empty (null) means: does not apply, or is not known."
    yield ""
    yield "For scores take `kind = accuracy` and `is_headline`. Rows of kind `architecture` hold parameter counts, rows"
    yield "of kind `energy` the figures of workloads, rows of kind `serving` those of each size of a growing batch,"
    yield "rows of kind `layers` the log-perplexity of a layer scan with all layers pruned. Among the figures of"
    yield "workloads are watt-hours per 1000 queries, the unit of AI Energy Score."
    yield ""
    yield from table(("column", "type", "meaning"), ((f"`{c.name}`", str(c.type), c.meaning) for c in TABLE))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
