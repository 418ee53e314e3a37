"""What a report is built from: the tidy rows, what was concluded from them, what ran, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glu_lib.analysis import Conclusions
from glu_lib.analysis.alignment import AlignedPair
from glu_lib.analysis.claims import Correlation, GroupCurve, TradeOff
from glu_lib.analysis.efficiency import CorrectAnswers, Efficiency
from glu_lib.analysis.published.comparison import MODEL_KEYS, Beside
from glu_lib.analysis.published.restated import ENERGY_TABLES, RestatedEnergy, energy_restated
from glu_lib.analysis.table import Row
from glu_lib.analysis.trends import Trend
from glu_lib.study import Study
from glu_lib.study.cases import build_cases


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one model that were made alike: on the same device, with the same versions, commit and limit.

    `first_at` and `last_at` are when the first and the last of its `records` were begun (ISO 8601).
    """

    model: str
    device: str
    dtype: str
    versions: Mapping[str, str]
    git_commit: str | None
    limit: int | None
    records: int
    first_at: str
    last_at: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report shows; a sequence is empty where nothing is known.

    Attributes:
        rows: tidy rows (`analysis.COLUMNS`).
        trends: slope and kind of each task (`analysis.trends.Trend`).
        curves: mean course of each kind of task (`analysis.claims.GroupCurve`).
        correlations: of pairs of tasks over the levels (`analysis.claims.Correlation`).
        trade_offs: score against size and energy per level (`analysis.claims.TradeOff`).
        beside: own scores beside the published ones (`analysis.comparison.Beside`).
        unlike: one line per task that was prompted otherwise than the published one, and per level that has collapsed.
        efficiencies: joules, throughput and times per level and workload (`analysis.efficiency.Efficiency`).
        correct_answers: joules per correct answer (`analysis.efficiency.CorrectAnswers`).
        aligned_pairs: plain against rounded widths (`analysis.alignment.AlignedPair`).
        restated: the published energies in joules (`analysis.restated.RestatedEnergy`).
        problems: one line per record or samples file that could not be used.
        untested: one line per change that was not tested.
        missing: declared cases without a complete record, by model.
        runs: what ran, on what (`runs_of`).
        title: heading of the page.
    """

    rows: Sequence[Row] = ()
    trends: Sequence[Trend] = ()
    curves: Sequence[GroupCurve] = ()
    correlations: Sequence[Correlation] = ()
    trade_offs: Sequence[TradeOff] = ()
    beside: Sequence[Beside] = ()
    unlike: Sequence[str] = ()
    efficiencies: Sequence[Efficiency] = ()
    correct_answers: Sequence[CorrectAnswers] = ()
    aligned_pairs: Sequence[AlignedPair] = ()
    restated: Sequence[RestatedEnergy] = ()
    problems: Sequence[str] = ()
    untested: Sequence[str] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    runs: Sequence[Run] = ()
    title: str = "GLU width pruning"


def report_data(found: Conclusions, study: Study, *, title: str = "GLU width pruning") -> ReportData:
    """What a report of `found` shows; `study` says which cases there could have been.

    The published energies stand in it if it holds records of a model that was published.
    """
    models = {row["model"] for row in found.rows}
    is_published = not models.isdisjoint(MODEL_KEYS.values())
    return ReportData(
        rows=found.rows,
        trends=found.trends,
        curves=found.curves,
        correlations=found.correlations,
        trade_offs=found.trade_offs,
        beside=found.beside,
        unlike=found.unlike,
        efficiencies=found.efficiencies,
        correct_answers=found.correct_answers,
        aligned_pairs=found.aligned_pairs,
        restated=[row for table in ENERGY_TABLES for row in energy_restated(table)] if is_published else (),
        problems=found.problems,
        untested=found.untested,
        missing=missing_cases(study, found.rows) if found.headers else {},  # of a published table nothing is
        runs=runs_of(found.headers),
        title=title,
    )


def missing_cases(study: Study, rows: Iterable[Row]) -> dict[str, list[str]]:
    """Ids of cases without a record, by model: of the suites that were begun on it, pruned by PPM with plain widths.

    Quick looks with a sample limit do not count: they leave the case to be done.
    """
    begun: dict[str, set[str]] = {}
    known = set()
    for row in rows:
        begun.setdefault(row["model"], set()).update(row["suites"].split())
        if row["limit"] is None:
            known.add(row["case"])
    missing: dict[str, list[str]] = {}
    for case in build_cases(study):
        if case.id not in known and begun.get(case.model.key, set()) & set(case.suites):
            missing.setdefault(case.model.key, []).append(case.id)
    return missing


def runs_of(records: Iterable[Mapping[str, Any]]) -> list[Run]:
    """Records grouped by model, device, number format, versions, commit and limit; in the order they come in."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault(_conditions(record), []).append(record)
    return [_run(key, members) for key, members in groups.items()]


def _conditions(record: Mapping[str, Any]) -> tuple[Any, ...]:
    environment = record["environment"]
    return (
        record["case"]["model"],
        environment["gpu"] or environment["cpu"],
        environment["dtype"],
        tuple(sorted(environment.get("versions", {}).items())),
        environment["git_commit"],
        record["done_key"].get("limit"),
    )


def _run(key: tuple[Any, ...], members: Sequence[Mapping[str, Any]]) -> Run:
    model, device, dtype, versions, commit, limit = key
    begun = sorted(member["timing"]["started_at"] for member in members)
    return Run(
        model=model,
        device=device,
        dtype=dtype,
        versions=dict(versions),
        git_commit=commit,
        limit=limit,
        records=len(members),
        first_at=begun[0],
        last_at=begun[-1],
    )
