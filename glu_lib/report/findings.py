"""Headline findings as sentences; every number is computed from the report's data."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.claims import TradeOff
from glu_lib.analysis.correlations import Correlation
from glu_lib.analysis.efficiency import Efficiency
from glu_lib.analysis.headline import main_tables
from glu_lib.analysis.level_series import only
from glu_lib.analysis.published.blind import BesideBlind
from glu_lib.analysis.published.comparison import ACCURACY_TABLE, Beside
from glu_lib.analysis.significance import ALPHA, is_significant
from glu_lib.analysis.table import LevelKey, level_text
from glu_lib.analysis.trends import FEWEST_LEVELS, Source, Trend
from glu_lib.report import number
from glu_lib.report.blind_answers import surviving
from glu_lib.report.contents import ReportData
from glu_lib.report.figures.change_points import score_change
from glu_lib.report.figures.savings import FIGURES, settings_of
from glu_lib.report.figures.theme import KIND_COLORS
from glu_lib.report.random_floor import method_sentences
from glu_lib.report.recovered import recovered_sentences
from glu_lib.report.same_size import same_size_sentences
from glu_lib.report.scan_findings import scan_sentences
from glu_lib.report.skill_findings import idle_sentence, missed, rises, skill_sentence
from glu_lib.report.skills import Kept, kept_of
from glu_lib.report.wide import cells_at, levels_of_interest
from glu_lib.results.collapse import LIMIT_TEXT
from glu_lib.study.architecture import format_ratio
from glu_lib.study.cases import STAR_RATIO
from glu_lib.wording import are, counted

_ENERGY = {"energy_per_token_j": "joules per token"} | {name: title for name, (title, _, _) in FIGURES.items()}
_MOST_CORRELATIONS = 3  # sentences per model; the table lists all pairs


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about one model."""

    about: str
    text: str


def findings(data: ReportData, tables: Iterable[HeadlineTable]) -> list[Finding]:
    """All findings, model by model in the order of the tables, then of the layer scans; empty without data."""
    main = main_tables(tables)
    found = [finding for table in main for finding in _scores(table)]
    found += [finding for table in main for finding in _kinds(table, data.trends)]
    beside = (*same_size_sentences(data.same_size), *recovered_sentences(data.recovered))
    found += [Finding(model, text) for model, text in (*method_sentences(data.against_random), *beside)]
    found += [*_correlations(data.correlations), *_trade_offs(data.trade_offs, kept_of(data.rows))]
    found += [*_efficiency(data.efficiencies), *_beside(data.beside)]
    if any(row["record"] == ACCURACY_TABLE for row in data.rows):
        found += _beside_blind(data.beside_blind)
    found += [Finding(scan.model, sentence) for scan in data.scans for sentence in scan_sentences(scan)]
    return found


def _scores(table: HeadlineTable) -> Iterator[Finding]:
    level = levels_of_interest(table, STAR_RATIO)
    rows = [row for row in cells_at(table, level) if score_change(row) is not None]
    if level and rows:
        yield from _score_changes(table, level, rows)
    if idle := idle_sentence(table):
        yield Finding(table.model, idle)
    if blind := _marked(table, "is_blind"):
        yield Finding(table.model, f"Not shown to be better than blind: {blind}.")
    for rise in rises(table):
        yield Finding(table.model, rise)
    if collapsed := _marked(table, "is_collapsed"):
        yield Finding(table.model, f"Collapsed, with a perplexity above {LIMIT_TEXT} or infinite: {collapsed}.")


def _score_changes(table: HeadlineTable, level: LevelKey, rows: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Skill and score at the level of interest."""
    changes = sorted((score_change(row) or 0.0, str(row["subject"])) for row in rows)
    mean = statistics.fmean(change for change, _ in changes)
    (worst, worst_task), (best, best_task) = changes[0], changes[-1]
    look = f"Limited run, {only(table.limit, table.subset).removeprefix('only ')}: at" if table.limit else "At"
    place = f"{look} {format_ratio(rows[0]['expansion_ratio'])} ({level_text(level)}{_fewer(table, rows[0])})"
    if skill := skill_sentence(table, level, place):
        yield Finding(table.model, skill)
    if len(rows) == 1:
        text = f"{'The score of' if skill else place} {worst_task} changes by {number.percent(worst)}."
    else:
        text = (
            f"{'Scores, which hold what blind answers get:' if skill else place} {len(rows)} tasks keep "
            f"{100 + mean:.0f} % of their unpruned score on average: from {worst_task} ({number.percent(worst)}) to "
            f"{best_task} ({number.percent(best)})"
        )
        inverted = any(not row["higher_is_better"] for row in rows)
        text += f"{', perplexity as baseline / value' if inverted else ''}."
    tested = [row for row in rows if row.get("p_holm") is not None]
    if tested:
        certain = sum(is_significant(row) for row in tested)
        one = f"{'It' if len(rows) == 1 else 'The only tested change'} {'is' if certain else 'is not'}"
        many = f"{certain} of {len(tested)} changes {are(certain)}"
        text += f" {one if len(tested) == 1 else many} significant after Holm's correction."
        text += missed(tested)
    yield Finding(table.model, text)


def _marked(table: HeadlineTable, flag: str) -> str:
    """The tasks with their marked levels, `facts (p40, p50) and sums (all levels)`; empty if no level is marked."""
    marked = {task: [level for level, _ in table.levels if _has(table, task, level, flag)] for task in table.tasks}
    every = [level for level, _ in table.levels]
    return number.listed(
        [
            f"{task} ({'all levels' if levels == every else ', '.join(level_text(level) for level in levels)})"
            for task, levels in marked.items()
            if levels
        ]
    )


def _has(table: HeadlineTable, task: str, level: LevelKey, flag: str) -> bool:
    row = table.cells.get((task, level))
    return row is not None and bool(row.get(flag))


def _fewer(table: HeadlineTable, row: dict[str, Any]) -> str:
    unpruned = [base["parameters"] for base in cells_at(table, 0)]
    if not unpruned or not row["parameters"]:
        return ""
    return f", {number.percent(100 * (row['parameters'] / unpruned[0] - 1))} parameters"


def _kinds(table: HeadlineTable, trends: Sequence[Trend]) -> Iterator[Finding]:
    """The tasks by kind; names tasks that are blind already at p0, and tasks classified without their items."""
    mine = [trend for trend in trends if _is_of(table, trend) and trend.levels >= FEWEST_LEVELS]
    groups: dict[str, list[str]] = {kind: [] for kind in KIND_COLORS}
    for trend in mine:
        guesses = " (not shown to be better than blind from p0 on)" if _has(table, trend.task, 0, "is_blind") else ""
        groups.setdefault(str(trend.kind), []).append(f"{trend.task}{guesses}")
    told = [f"{kind.capitalize()}: {number.listed(tasks)}." for kind, tasks in groups.items() if tasks]
    by_levels = [trend for trend in mine if trend.source == Source.LEVELS]
    if by_levels:
        which = "All" if 1 < len(by_levels) == len(mine) else number.listed([trend.task for trend in by_levels])
        told.append(
            f"{which} {are(len(by_levels))} classified from the scores at {by_levels[0].levels} levels alone, without "
            "the items: any curvature counts as noise."
        )
    if told:
        yield Finding(table.model, " ".join(told))


def _is_of(table: HeadlineTable, trend: Trend) -> bool:
    return trend.family.is_main and trend.family.scope == table.family.scope


def _correlations(correlations: Sequence[Correlation]) -> Iterator[Finding]:
    """Pairs with a negative correlation; a positive one is no finding, because pruning lowers most scores together.

    Pairs without an interval of r (three levels or fewer) are left out: few points lie on a line by chance.
    """
    known = [
        (item.r, item.p, item)
        for item in correlations
        if item.r is not None and item.p is not None and item.r_low is not None
    ]
    opposite = [(r, p, item) for r, p, item in known if r < 0 and p < ALPHA]
    for model in _models(item for _, _, item in opposite):
        mine = sorted((found for found in opposite if found[2].model == model), key=lambda found: found[0])
        for r, p, item in mine[:_MOST_CORRELATIONS]:
            text = f"{item.task_a} and {item.task_b} move in opposite directions over {item.n} levels "
            text += f"(r = {number.signed(r)}"
            if item.r_low is not None and item.r_high is not None:
                text += f", 95 % {number.signed(item.r_low)} to {number.signed(item.r_high)}"
            text += f"; p = {p:.2g} if levels were independent, not corrected for the number of pairs)."
            yield Finding(model, text)


def _trade_offs(points: Sequence[TradeOff], kept: Mapping[str, Kept]) -> Iterator[Finding]:
    for best in points:
        if not best.is_best:
            continue
        unpruned = [point for point in points if point.model == best.model and not point.level]
        size = f" with {100 * best.parameters / unpruned[0].parameters:.0f} % of the parameters" if unpruned else ""
        ratios = [point.expansion_ratio for point in points if point.model == best.model]
        text = (
            f"Best trade-off between {format_ratio(max(ratios))} and {format_ratio(min(ratios))} (knee of the Pareto "
            f"front): {format_ratio(best.expansion_ratio)} ({level_text(best.level)}), where tasks keep "
            f"{100 * best.score:.0f} % of their {kept.get(best.model, Kept.SCORE).noun} on average{size}. "
            "A point estimate: neighbouring levels may be as good."
        )
        yield Finding(best.model, text)


def _efficiency(efficiencies: Sequence[Efficiency]) -> Iterator[Finding]:
    for setting, items in settings_of(efficiencies).items():
        plain = [item for item in items if item.divisor is None]
        pruned = [item for item in plain if item.level]
        if not pruned:
            continue
        ratio = min((item.expansion_ratio for item in pruned), key=lambda found: abs(found - STAR_RATIO))
        parts = [
            f"{title} by {span}"
            for name, title in _ENERGY.items()
            if (span := _span(name, plain, [item for item in pruned if item.expansion_ratio == ratio]))
        ]
        if parts:
            qualities = number.listed(sorted({str(item.energy_quality) for item in plain if item.energy_quality}))
            told = f" Energy is {qualities}." if qualities else ""
            text = f"On {setting.device}, {format_ratio(ratio)} changes {', '.join(parts)}.{told}"
            yield Finding(setting.model, text)


def _span(name: str, plain: Sequence[Efficiency], pruned: Sequence[Efficiency]) -> str:
    """Smallest to largest change over the workloads, `−12 % to −8 %`; empty without comparable values."""
    baselines = {(item.workload, _qualities(name, item)): getattr(item, name) for item in plain if not item.level}
    changes = [
        100 * (getattr(item, name) / baseline - 1)
        for item in pruned
        if getattr(item, name) is not None and (baseline := baselines.get((item.workload, _qualities(name, item))))
    ]
    if not changes:
        return ""
    ends = list(dict.fromkeys(number.percent(change) for change in (min(changes), max(changes))))
    return " to ".join(ends)


def _qualities(name: str, item: Efficiency) -> tuple[str | None, ...]:
    """Quality of the joules of each part; joules are compared only if their qualities are equal."""
    return (item.gpu_quality, item.cpu_quality, item.ram_quality) if name.endswith("_j") else ()


def _beside(beside: Sequence[Beside]) -> Iterator[Finding]:
    for model in _models(beside):
        judged = [item for item in beside if item.model == model and item.within_error is not None]
        if judged:
            within = sum(bool(item.within_error) for item in judged)
            text = f"{within} of {counted(len(judged), 'score')} {are(within)} within 1.96 standard errors"
            yield Finding(model, f"{text} of the published ones: sampling error alone could explain these differences.")


def _beside_blind(beside: Sequence[BesideBlind]) -> Iterator[Finding]:
    for model in _models(beside):
        for line in surviving([item for item in beside if item.model == model]):
            yield Finding(model, line)


def _models(items: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(item.model for item in items))
