"""All tables of a report except the headline tables: a caption, columns and rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from glu_lib.analysis.alignment import FIGURES, AlignedPair
from glu_lib.analysis.correlations import Correlation
from glu_lib.analysis.efficiency import CorrectAnswers
from glu_lib.analysis.level_series import LevelSeries, family_of
from glu_lib.analysis.published.blind import BLIND_TABLE, BesideBlind
from glu_lib.analysis.published.comparison import Beside
from glu_lib.analysis.published.restated import Defect, RestatedEnergy
from glu_lib.analysis.table import Row, level_text, row_level
from glu_lib.report import number
from glu_lib.report.blind_answers import blind_answers, blind_levels
from glu_lib.report.figures.figure import Cell
from glu_lib.study.architecture import format_ratio

_FORM = ("answer_length", "repetition", "empty_share", "cut_share")


@dataclass(frozen=True, slots=True)
class Listing:
    """A table with its caption; the first column names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def correlation_listing(correlations: Sequence[Correlation]) -> Listing:
    """Correlations between the scores of two tasks over the levels."""
    return Listing(
        "Correlation of two tasks' scores over the levels of a model (Pearson's r with its 95 % interval)",
        ("model", "tasks", "levels", "r", "from", "to", "p"),
        tuple(
            (item.model, f"{item.task_a} × {item.task_b}", item.n, item.r, item.r_low, item.r_high, item.p)
            for item in correlations
        ),
    )


def beside_listing(beside: Sequence[Beside]) -> Listing:
    """Each own score compared with the published one."""
    return Listing(
        "Own scores compared with the published ones",
        ("model", "level", "expansion ratio", "task", "metric", "own", "published", "difference", "standard error",
         "within the error", "note"),
        tuple(
            (item.model, f"p{item.percent}", format_ratio(item.expansion_ratio), item.task, item.metric, item.own,
             item.published, item.difference, item.stderr, item.within_error, item.note)
            for item in beside
        ),
    )  # fmt: skip


def blind_listing(found: Sequence[BesideBlind]) -> Listing:
    """Published scores beside what blind answers get."""
    return Listing(
        "Published scores beside blind answers: what answers that do not follow the question get on the same task "
        f"({BLIND_TABLE}); skill left: 1 unpruned, 0 blind",
        ("model", "task", "metric", "blind answers, best first", "unpruned", "best pruned", "narrowest", "skill left",
         "not shown to be better than blind", "verdict"),
        tuple(
            (item.model, item.task, item.metric, blind_answers(item.controls) or None,
             number.plain_score(item.unpruned), _at(item.highest, item.highest_percent),
             _at(item.last, item.last_percent), None if item.skill is None else f"{item.skill:.2f}".replace("-", "−"),
             blind_levels(item) or None, str(item.verdict))
            for item in found
        ),
    )  # fmt: skip


def _at(score: float, percent: int) -> str:
    return f"{number.plain_score(score)} (p{percent})"


def answers_listing(answers: Sequence[CorrectAnswers]) -> Listing:
    """Energy per correct answer and, with controls, per answer above blind."""
    if any(item.above_blind is not None for item in answers):
        return _above_blind(answers)
    return Listing(
        "Joules per correct answer: energy of scoring a task / its number of correct answers",
        ("model", "level", "expansion ratio", "task", "joules", "correct", "joules per correct answer", "energy is"),
        tuple(
            (item.model, _answer_level(item), format_ratio(item.expansion_ratio), item.task, item.energy_j,
             item.correct, item.energy_per_correct_j, item.energy_quality)
            for item in answers
        ),
    )  # fmt: skip


def _above_blind(answers: Sequence[CorrectAnswers]) -> Listing:
    return Listing(
        "Joules per correct answer: energy of scoring a task / its number of correct answers; and per answer above "
        "blind: / the answers beyond those that blind answers get, none where a score is not shown to be better",
        ("model", "level", "expansion ratio", "task", "joules", "correct", "joules per correct answer", "above blind",
         "joules per answer above blind", "energy is"),
        tuple(
            (item.model, _answer_level(item), format_ratio(item.expansion_ratio), item.task, item.energy_j,
             item.correct, item.energy_per_correct_j, item.above_blind, item.energy_per_answer_above_blind_j,
             item.energy_quality)
            for item in answers
        ),
    )  # fmt: skip


def form_listing(rows: Iterable[Row]) -> Listing:
    """Length, repetition, emptiness and cuts of generated answers, per task and level."""
    found = [row for row in rows if row["is_headline"] and any(row.get(name) is not None for name in _FORM)]
    found.sort(key=lambda row: (row["model"], row["subject"], row["method"] or "", row["percent"]))
    return Listing(
        "Generated answers: mean length, and how much of them is repetition, empty or cut",
        ("model", "task", "level", "expansion ratio", "characters", "repetition", "empty", "cut", "score"),
        tuple(
            (row["model"], row["subject"], _level(row), format_ratio(row["expansion_ratio"]),
             *(row.get(name) for name in _FORM), row["value"])
            for row in found
        ),
    )  # fmt: skip


def alignment_listing(pairs: Sequence[AlignedPair]) -> Listing:
    """Plain compared with rounded widths; alignment gains where a ratio is below the ratio of the parameters."""
    return Listing(
        "Aligned compared with plain widths: ratios of times and joules over paired repeats, with 95 % intervals",
        ("model", "workload", "level", "figure", "width", "aligned width", "plain", "aligned", "aligned / plain",
         "from", "to", "parameters, aligned / plain"),
        tuple(
            (pair.model, pair.workload, level_text(pair.level), FIGURES[pair.figure][0], pair.width, pair.aligned_width,
             pair.plain, pair.aligned, pair.aligned_to_plain.mean, pair.aligned_to_plain.low,
             pair.aligned_to_plain.high, pair.parameters_ratio)
            for pair in pairs
        ),
    )  # fmt: skip


def restated_listing(restated: Sequence[RestatedEnergy]) -> Listing:
    """The published joules per token as printed and as corrected, means over the seeds."""
    groups: dict[tuple[str, int, str], list[RestatedEnergy]] = {}
    for item in restated:
        groups.setdefault((item.model, item.percent, item.workload), []).append(item)
    return Listing(
        "The published joules per token: as printed (these are CO2e), and restated as energy; means over the seeds. "
        f"Defects: {'; '.join(f'{place}, {defect}' for place, defect in enumerate(Defect, start=1))}",
        ("model", "level", "workload", "seeds", "as printed, net", "restated, net", "restated, gross", "GPU (measured)",
         "defects"),
        tuple(
            (model, f"p{percent}", workload, len(items), _mean(items, "published_energy_per_token_j"),
             _mean(items, "net_energy_per_token_j"), _mean(items, "energy_per_token_j"),
             _mean(items, "gpu_energy_per_token_j"), _defects(items))
            for (model, percent, workload), items in groups.items()
        ),
    )  # fmt: skip


def _level(row: Row) -> str:
    return family_of(row).name_of(row_level(row))


def _answer_level(item: CorrectAnswers) -> str:
    return LevelSeries(item.model, item.method, item.divisor, item.layers, item.limit, item.subset).name_of(item.level)


def _defects(items: Sequence[RestatedEnergy]) -> str:
    """The numbers, in the caption, of the defects of `items`."""
    found = {defect for item in items for defect in item.defects}
    return " ".join(str(place) for place, defect in enumerate(Defect, start=1) if defect in found)


def _mean(items: Sequence[RestatedEnergy], name: str) -> float | None:
    values = [getattr(item, name) for item in items]
    return None if any(value is None for value in values) else statistics.fmean(values)
