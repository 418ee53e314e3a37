"""Headline tables and layer scans as Markdown, for a README or a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from glu_lib.analysis import AlignedPair, HeadlineTable
from glu_lib.analysis.scans import Scan
from glu_lib.analysis.table import Row, level_text
from glu_lib.errors import one_line
from glu_lib.report import number
from glu_lib.report.alignment_table import ALIGNMENT_COLUMNS as ALIGNMENT_COLUMNS
from glu_lib.report.alignment_table import alignment_tables
from glu_lib.report.listings import Listing
from glu_lib.report.scan_table import SCAN_LEGEND, scan_notes, short_scan_listing, step_listing
from glu_lib.report.size_table import size_listing, size_notes
from glu_lib.report.skills import (
    SKILL_TITLE,
    blind_at_p0,
    knows_blind,
    notes_of,
    skill_checkpoints,
    skill_interval,
    skill_levels,
    skill_notes,
    skill_tasks,
    skill_text,
)
from glu_lib.study.architecture import format_ratio

_MARKUP = frozenset("|<>[]`*&\\")


def markdown_table(table: HeadlineTable) -> str:
    """One row per level, one column per task; the change against p0 in per cent in brackets; notes below.

    With controls, the last row holds the blind scores at p0, and a table of skills follows.
    """
    header = ["level", "expansion ratio", *(_heading(table, task) for task in table.tasks)]
    lines = [_line(header), _line(["---"] * len(header))]
    for level, ratio in table.levels:
        rows = [table.cells.get((task, level)) for task in table.tasks]
        lines.append(_line([level_text(level), format_ratio(ratio), *map(_cell, rows)]))
    lines += [
        _line([markdown_name(name), format_ratio(ratio), *map(_cell, rows)])
        for name, ratio, rows in table.checkpoint_lines
    ]
    if knows_blind(table):
        lines.append(_line(["blind", "–", *(blind_at_p0(table, task) for task in table.tasks)]))
    lines += [_line([name, format_ratio(ratio), *map(number.score, rows)]) for name, ratio, rows in table.control_lines]
    return _with_notes(lines, (*table.legend, *map(markdown_name, notes_of(table)))) + _skills(table)


def _cell(row: Row | None) -> str:
    """A score with its change in brackets, or with its marks alone."""
    change = number.marked_change(row)
    return f"{number.score(row)} ({change})" if len(change) > 2 else number.score(row) + change


def markdown_sizes(table: HeadlineTable) -> str:
    """Size and cost of each level of a headline table, with title and notes; empty if nothing is known of them."""
    if (found := size_listing(table)) is None:
        return ""
    lines = [f"**{markdown_name(found.caption)}**", "", _line(found.columns), _line(["---"] * len(found.columns))]
    lines += [_line([markdown_name(str(cell)) for cell in row]) for row in found.rows]
    return _with_notes(lines, map(markdown_name, size_notes(table)))


def markdown_listing(found: Listing) -> str:
    """A listing as Markdown, with its caption as title."""
    lines = [f"**{markdown_name(found.caption)}**", "", _line(found.columns), _line(["---"] * len(found.columns))]
    return "\n".join([*lines, *(_line([markdown_name(number.plain(cell)) for cell in row]) for row in found.rows), ""])


def _skills(table: HeadlineTable) -> str:
    """The table of skills with its title and its notes; empty without controls of a pruned level."""
    tasks = skill_tasks(table)
    if not tasks:
        return ""
    header = ["level", "expansion ratio", *map(markdown_name, tasks)]
    lines = [f"**{markdown_name(f'{table.title}, {SKILL_TITLE}')}**", "", _line(header), _line(["---"] * len(header))]
    for level, ratio in skill_levels(table):
        rows = [table.cells.get((task, level)) for task in tasks]
        lines.append(_line([level_text(level), format_ratio(ratio), *map(_skill_cell, rows)]))
    for name, ratio, found in skill_checkpoints(table):
        lines.append(_line([markdown_name(name), format_ratio(ratio), *map(_skill_cell, found)]))
    return "\n" + _with_notes(lines, map(markdown_name, skill_notes(table)))


def _skill_cell(row: Row | None) -> str:
    interval = skill_interval(row)
    return f"{skill_text(row)} ({interval})" if interval else skill_text(row)


def _with_notes(lines: Sequence[str], notes: Iterable[str]) -> str:
    return "\n".join(lines) + "\n" + "".join(f"\n{note[0].upper()}{note[1:]}.\n" for note in notes)


def markdown_alignment(pairs: Sequence[AlignedPair]) -> str:
    """Aligned compared with plain widths, one titled table per workload and figure."""
    lines = []
    for title, rows in alignment_tables(pairs):
        lines += [f"**{markdown_name(title)}**", "", _line(ALIGNMENT_COLUMNS), _line(["---"] * len(ALIGNMENT_COLUMNS))]
        lines += [*map(_line, rows), ""]
    return "\n".join(lines)


def markdown_scan(scan: Scan) -> str:
    """The most harmful layers of a scan and the perplexity after each spared layer, with titles and notes."""
    lines = []
    for found in (short_scan_listing(scan), step_listing(scan)):
        lines += [f"**{markdown_name(found.caption)}**", "", _line(found.columns), _line(["---"] * len(found.columns))]
        lines += [*(_line([markdown_name(number.plain(cell)) for cell in row]) for row in found.rows), ""]
    return _with_notes(lines[:-1], map(markdown_name, (SCAN_LEGEND, *scan_notes(scan))))


def _heading(table: HeadlineTable, task: str) -> str:
    """Task, metric, and an arrow in the direction of better scores."""
    row = next(row for (name, _), row in table.cells.items() if name == task)
    return f"{markdown_name(task)} ({markdown_name(row['metric'])} {'↑' if row['higher_is_better'] else '↓'})"


def markdown_name(text: str) -> str:
    """Escape a name for Markdown: the characters of tables, links, code, emphasis and HTML become entities."""
    return "".join(f"&#{ord(sign)};" if sign in _MARKUP else sign for sign in one_line(text))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
