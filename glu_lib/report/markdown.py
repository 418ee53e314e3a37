"""Headline tables as Markdown, for a README or a paper."""

from __future__ import annotations

from collections.abc import Sequence

from glu_lib.analysis import AlignedPair, HeadlineTable
from glu_lib.errors import one_line
from glu_lib.report import number
from glu_lib.report.alignment_table import ALIGNMENT_COLUMNS as ALIGNMENT_COLUMNS
from glu_lib.report.alignment_table import alignment_tables
from glu_lib.study.architecture import format_ratio

_MARKUP = frozenset("|<>[]`*&\\")


def markdown_table(table: HeadlineTable) -> str:
    """One row per level, one column per task; the change against p0 in per cent in brackets; notes below."""
    header = ["level", "expansion ratio", *(_heading(table, task) for task in table.tasks)]
    lines = [_line(header), _line(["---"] * len(header))]
    for percent, ratio in table.levels:
        rows = [table.cells.get((task, percent)) for task in table.tasks]
        cells = [
            f"{number.score(row)} ({change})"
            if len(change := number.marked_change(row)) > 2
            else number.score(row) + change
            for row in rows
        ]
        lines.append(_line([f"p{percent}", format_ratio(ratio), *cells]))
    lines += [_line([name, format_ratio(ratio), *map(number.score, rows)]) for name, ratio, rows in table.control_lines]
    return (
        "\n".join(lines)
        + "\n"
        + "".join(f"\n{note[0].upper()}{note[1:]}.\n" for note in (*table.legend, *map(markdown_name, table.notes)))
    )


def markdown_alignment(pairs: Sequence[AlignedPair]) -> str:
    """Aligned compared with plain widths, one titled table per workload and figure."""
    lines = []
    for title, rows in alignment_tables(pairs):
        lines += [f"**{markdown_name(title)}**", "", _line(ALIGNMENT_COLUMNS), _line(["---"] * len(ALIGNMENT_COLUMNS))]
        lines += [*map(_line, rows), ""]
    return "\n".join(lines)


def _heading(table: HeadlineTable, task: str) -> str:
    """Task, metric, and an arrow in the direction of better scores."""
    row = next(row for (name, _), row in table.cells.items() if name == task)
    return f"{markdown_name(task)} ({markdown_name(row['metric'])} {'↑' if row['higher_is_better'] else '↓'})"


def markdown_name(text: str) -> str:
    """Escape a name for Markdown: the characters of tables, links, code, emphasis and HTML become entities."""
    return "".join(f"&#{ord(sign)};" if sign in _MARKUP else sign for sign in one_line(text))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
