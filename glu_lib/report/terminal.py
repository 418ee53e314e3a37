"""Headline tables, energy and layer scans as plain lines for a terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from glu_lib.analysis import AlignedPair, HeadlineTable
from glu_lib.analysis.scans import Scan
from glu_lib.analysis.serving import ServingLevel
from glu_lib.analysis.table import LevelKey, level_text
from glu_lib.report import number
from glu_lib.report.alignment_table import ALIGNMENT_COLUMNS as ALIGNMENT_COLUMNS
from glu_lib.report.alignment_table import alignment_tables
from glu_lib.report.scan_table import SCAN_LEGEND, scan_notes, short_scan_listing, step_listing
from glu_lib.report.serving_table import serving_listings
from glu_lib.report.size_table import size_listing, size_notes
from glu_lib.report.skills import (
    SKILL_TITLE,
    blind_at_p0,
    knows_blind,
    notes_of,
    skill_interval,
    skill_levels,
    skill_notes,
    skill_tasks,
    skill_text,
)
from glu_lib.results.records import AccuracyRecord, EnergyRecord, LayersRecord, Record, ServingRecord
from glu_lib.results.records.layers import Scan as RecordedScan
from glu_lib.study.architecture import format_ratio
from glu_lib.wording import duration


def terminal_lines(table: HeadlineTable, width: int) -> list[str]:
    """Scores with their change against p0, skills, then joules and time of each case; at most `width` columns wide.

    The blind score stands below the score of p0, in brackets.
    """
    qualities = sorted({row["energy_quality"] or "not available" for row in table.cells.values()})
    shown = qualities if len(qualities) == 1 else [f"some {quality}" for quality in qualities]
    return [
        f"{table.title}: headline metric per level, change against p0",
        *_render(_scores(table), width),
        *(
            line
            for note in (*_checkpoints(table), *_controls(table), *table.legend, *notes_of(table))
            for line in textwrap.wrap(note, width)
        ),
        *_skill_lines(table, width),
        *_size_lines(table, width),
        f"{table.title}: energy per case in joules ({', '.join(shown)}), and time",
        *_render(_energy(table), width),
        *(line for note in _without_joules(table) for line in textwrap.wrap(note, width)),
    ]


def workload_lines(table: HeadlineTable, width: int) -> list[str]:
    """One figure (such as throughput) of all workloads with its change against p0; at most `width` columns wide."""
    title = f"{table.title}: mean over the repeats ± half of its 95 % interval, change against p0"
    notes = (line for note in table.notes for line in textwrap.wrap(note, width))
    return [title, *_render(_scores(table), width), *notes]


def alignment_lines(pairs: Sequence[AlignedPair], width: int) -> list[str]:
    """Aligned compared with plain widths, one table per workload and figure; at most `width` columns wide."""
    lines = []
    for title, rows in alignment_tables(pairs):
        drawn = Table(*ALIGNMENT_COLUMNS, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for row in rows:
            drawn.add_row(*row)
        lines += [title, *_render(drawn, width)]
    return lines


def scan_lines(scan: Scan, width: int) -> list[str]:
    """The most harmful layers of a scan, the perplexity after each spared layer, notes; at most `width` wide."""
    lines = []
    for found in (short_scan_listing(scan), step_listing(scan)):
        drawn, rows = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)), list(found.rows)
        for place, name in enumerate(found.columns):  # headings wrap, cells do not
            drawn.add_column(name, min_width=max(len(number.plain(row[place])) for row in rows))
        for row in rows:
            drawn.add_row(*map(number.plain, row))
        lines += [*textwrap.wrap(found.caption, width), *_render(drawn, width)]
    return [*lines, *(line for note in (SCAN_LEGEND, *scan_notes(scan)) for line in textwrap.wrap(note, width))]


def serving_lines(levels: Sequence[ServingLevel], width: int) -> list[str]:
    """The largest throughput of each level of a growing batch, one table per model; at most `width` columns wide."""
    lines = []
    for found in serving_listings(levels):
        drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        drawn.add_column("", no_wrap=True)
        for name, ratio, *_ in found.rows:
            drawn.add_column(f"{name}\n{ratio}".replace(", ", "\n"), justify="right")
        for place, name in enumerate(found.columns[2:], start=2):
            drawn.add_row(name.replace(", ", "\n"), *(str(row[place]).replace(" (", "\n(") for row in found.rows))
        lines += [*textwrap.wrap(found.caption, width), *_render(drawn, width)]
    return lines


def record_line(record: Record) -> str:
    """The result of a record in a few words: headline metric, throughput, layer scan, or ratio and parameters."""
    if isinstance(record, AccuracyRecord):
        headline = record.score.headline
        collapsed = f" ({number.COLLAPSED})" if headline.is_collapsed else ""
        return f"{headline.label} {number.score(headline.recorded(headline.higher_is_better))}{collapsed}"
    if isinstance(record, EnergyRecord):
        mean = record.profile.tokens_per_s.mean
        return "no throughput" if mean is None else f"{mean:.1f} tokens/s"
    if isinstance(record, ServingRecord):
        speed, size = max((batch.profile.tokens_per_s.mean or 0.0, batch.batch_size) for batch in record.batches)
        return f"at most {speed:.1f} tokens/s, with batch size {size}"
    if isinstance(record, LayersRecord):
        return _scan_line(record.scan)
    return f"{format_ratio(record.pruning.expansion_ratio)}, {record.pruning.parameters:,} parameters"


def _scan_line(scan: RecordedScan) -> str:
    """`perplexity 2.26 → 2.27, most harmful layer 0 (x1.00), prune all`."""
    harms = [value - scan.unpruned for value in scan.alone]
    layer = harms.index(max(harms))
    return (
        f"perplexity {number.perplexity(scan.unpruned)} → {number.perplexity(scan.pruned)}, most harmful layer "
        f"{layer} ({number.factor(harms[layer])}), prune {scan.recommended}"
    )


def _scores(table: HeadlineTable) -> Table:
    is_with_blind = knows_blind(table)
    drawn = _empty(table.levels, below_p0="(blind)" if is_with_blind else "")
    for task in table.tasks:
        rows = [table.cells.get((task, level)) for level, _ in table.levels]
        first = next(row for row in rows if row is not None)
        arrow = "↑" if first["higher_is_better"] else "↓"
        cells = [_cell(row) for row in rows]
        if is_with_blind and rows[0] is not None and rows[0]["percent"] == 0:
            cells[0] += f"\n({blind_at_p0(table, task)})"
        drawn.add_row(f"{task}\n{first['metric']} {arrow}", *cells)
    return drawn


def _cell(row: dict[str, Any] | None) -> str:
    """A score, its change in the next line, and its marks behind the change or, without a change, the score."""
    change = number.marked_change(row)
    return f"{number.score(row)}{change}" if change in ("*", "°", "*°") else f"{number.score(row)}\n{change}".strip()


def _skill_lines(table: HeadlineTable, width: int) -> list[str]:
    """Skill and interval of each task and pruned level; empty without controls."""
    tasks = skill_tasks(table)
    if not tasks:
        return []
    drawn = _empty(skill_levels(table))
    for task in tasks:
        rows = [table.cells.get((task, level)) for level, _ in skill_levels(table)]
        drawn.add_row(task, *(f"{skill_text(row)}\n{skill_interval(row)}".strip() for row in rows))
    return [
        *textwrap.wrap(f"{table.title}, {SKILL_TITLE}", width),
        *_render(drawn, width),
        *(line for note in skill_notes(table) for line in textwrap.wrap(note, width)),
    ]


def _size_lines(table: HeadlineTable, width: int) -> list[str]:
    """Size and cost of each level, a line per figure; empty if nothing is known of them."""
    if (found := size_listing(table)) is None:
        return []
    drawn = _empty(table.levels)
    for place, name in enumerate(found.columns[2:], start=2):
        drawn.add_row(
            name.replace(", ", "\n").replace(" per", "\nper"),
            *(str(row[place]).replace(" (", "\n(") for row in found.rows),
        )
    notes = (line for note in size_notes(table) for line in textwrap.wrap(note, width))
    return [*textwrap.wrap(found.caption, width), *_render(drawn, width), *notes]


def _controls(table: HeadlineTable) -> list[str]:
    """The scores of each control in one line, because its column would make those of the levels too narrow."""
    return [
        f"{name} {format_ratio(ratio)}: "
        + ", ".join(f"{task} {number.score(row)}" for task, row in zip(table.tasks, rows, strict=True))
        for name, ratio, rows in table.control_lines
    ]


def _checkpoints(table: HeadlineTable) -> list[str]:
    """The scores of each checkpoint that is compared with the model in one line, with their changes."""
    return [
        f"{name} {format_ratio(ratio)}: "
        + ", ".join(
            f"{task} {number.score(row)} ({change})"
            if (change := number.marked_change(row))
            else f"{task} {number.score(row)}"
            for task, row in zip(table.tasks, rows, strict=True)
        )
        for name, ratio, rows in table.checkpoint_lines
    ]


def _energy(table: HeadlineTable) -> Table:
    drawn = _empty(table.levels)
    for task in table.tasks:
        rows = [table.cells.get((task, level)) for level, _ in table.levels]
        drawn.add_row(task, *(_joules_and_time(row) for row in rows))
    return drawn


def _without_joules(table: HeadlineTable) -> list[str]:
    """Cases without joules, one line per reason."""
    cases: dict[str, list[str]] = {}
    for (task, level), row in table.cells.items():
        if row["energy_j"] is None and row.get("energy_reason"):
            cases.setdefault(row["energy_reason"], []).append(f"{task} {level_text(level)}")
    return [f"no joules: {', '.join(names)}: {reason}" for reason, names in cases.items()]


def _joules_and_time(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    time = "" if row["window_s"] is None else f"\n{duration(row['window_s'])}"
    return f"{number.joules(row['energy_j'])}{time}"


def _empty(levels: Sequence[tuple[LevelKey, float]], *, below_p0: str = "") -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("", no_wrap=True)
    for level, ratio in levels:
        below = "" if level else f"\n{below_p0}".rstrip()
        drawn.add_column(f"{level_text(level)}\n{format_ratio(ratio)}{below}", justify="right")
    return drawn


def _render(drawn: Table, width: int) -> list[str]:
    text = io.StringIO()
    # No markup: rich would read a name in square brackets as a style.
    Console(file=text, width=max(width, 60), color_system=None, markup=False, emoji=False).print(drawn)
    return [line.rstrip() for line in text.getvalue().strip("\n").splitlines()]
