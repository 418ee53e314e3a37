"""The data of a report: tidy rows, conclusions, runs and missing cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from glu_lib.analysis import Conclusions
from glu_lib.analysis.alignment import AlignedPair
from glu_lib.analysis.claims import GroupCurve, TradeOff
from glu_lib.analysis.consolidation import Header
from glu_lib.analysis.correlations import Correlation
from glu_lib.analysis.efficiency import CorrectAnswers, Efficiency
from glu_lib.analysis.published.blind import BesideBlind, beside_blind
from glu_lib.analysis.published.comparison import MODEL_KEYS, Beside, published_rows
from glu_lib.analysis.published.restated import ENERGY_TABLES, RestatedEnergy, energy_restated
from glu_lib.analysis.random_floor import AgainstRandom
from glu_lib.analysis.recovered import Recovered
from glu_lib.analysis.same_size import SameSize
from glu_lib.analysis.scans import Scan
from glu_lib.analysis.serving import ServingLevel
from glu_lib.analysis.table import Row
from glu_lib.analysis.trends import Trend
from glu_lib.study import Study
from glu_lib.study.cases import build_cases


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one model that share device, dtype, versions, commit and limit.

    `records` is their number; `first_at` and `last_at` are the earliest and the latest start time (ISO 8601).
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
    """Everything a report shows; a sequence without data is empty.

    Attributes:
        rows: tidy rows (`analysis.COLUMNS`).
        trends: slope and kind of each task (`analysis.trends.Trend`).
        against_random: methods beside random selection (`analysis.random_floor.AgainstRandom`).
        same_size: pruned levels beside other models of about the same size (`analysis.same_size.SameSize`).
        recovered: checkpoints beside their baselines (`analysis.recovered.Recovered`).
        not_beside: one line per level of a baseline without a record to be compared with.
        curves: mean relative score of each kind of task over the levels (`analysis.claims.GroupCurve`).
        correlations: between pairs of tasks over the levels (`analysis.correlations.Correlation`).
        trade_offs: score against size and energy per level (`analysis.claims.TradeOff`).
        beside: own scores compared with the published ones (`analysis.published.comparison.Beside`).
        unlike: one line per task whose prompts differ from the published ones, and per collapsed level.
        efficiencies: joules, throughput and times per level and workload (`analysis.efficiency.Efficiency`).
        correct_answers: joules per correct answer (`analysis.efficiency.CorrectAnswers`).
        aligned_pairs: plain compared with rounded widths (`analysis.alignment.AlignedPair`).
        restated: the published energies converted to joules (`analysis.published.restated.RestatedEnergy`).
        beside_blind: the published scores beside blind answers (`analysis.published.blind.BesideBlind`).
        scans: layer scans beside those of random neurons (`analysis.scans.Scan`).
        serving: levels of growing batches (`analysis.serving.ServingLevel`).
        problems: one line per record or samples file that could not be used.
        untested: one line per change that was not tested.
        missing: ids of declared cases without a record, by model.
        limited: ids of declared cases with a record of a limited run only, by model.
        undeclared: models with records that the study does not declare, so that nothing is known to be missing.
        runs: records grouped by the conditions of their run (`runs_of`).
        title: heading of the page.
    """

    rows: Sequence[Row] = ()
    trends: Sequence[Trend] = ()
    against_random: Sequence[AgainstRandom] = ()
    same_size: Sequence[SameSize] = ()
    recovered: Sequence[Recovered] = ()
    not_beside: Sequence[str] = ()
    curves: Sequence[GroupCurve] = ()
    correlations: Sequence[Correlation] = ()
    trade_offs: Sequence[TradeOff] = ()
    beside: Sequence[Beside] = ()
    unlike: Sequence[str] = ()
    efficiencies: Sequence[Efficiency] = ()
    correct_answers: Sequence[CorrectAnswers] = ()
    aligned_pairs: Sequence[AlignedPair] = ()
    restated: Sequence[RestatedEnergy] = ()
    beside_blind: Sequence[BesideBlind] = ()
    scans: Sequence[Scan] = ()
    serving: Sequence[ServingLevel] = ()
    problems: Sequence[str] = ()
    untested: Sequence[str] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limited: Mapping[str, Sequence[str]] = field(default_factory=dict)
    undeclared: Sequence[str] = ()
    runs: Sequence[Run] = ()
    title: str = "GLU width pruning"


def report_data(found: Conclusions, study: Study, *, title: str = "GLU width pruning") -> ReportData:
    """Collect the data of a report on `found`; `study` declares the cases, so that missing ones can be listed.

    The published energies and blind scores are included if at least one model of `found` is in the published study.
    """
    models = {row["model"] for row in found.rows}
    is_published = not models.isdisjoint(MODEL_KEYS.values())
    missing, limited = missing_cases(study, found.rows) if found.headers else ({}, {})  # published: no headers
    return ReportData(
        rows=found.rows,
        trends=found.trends,
        against_random=found.against_random,
        same_size=found.same_size,
        recovered=found.recovered,
        not_beside=found.not_beside,
        curves=found.curves,
        correlations=found.correlations,
        trade_offs=found.trade_offs,
        beside=found.beside,
        unlike=found.unlike,
        efficiencies=found.efficiencies,
        correct_answers=found.correct_answers,
        aligned_pairs=found.aligned_pairs,
        restated=[row for table in ENERGY_TABLES for row in energy_restated(table)] if is_published else (),
        beside_blind=beside_blind(published_rows()) if is_published else (),
        scans=found.scans,
        serving=found.serving,
        problems=found.problems,
        untested=found.untested,
        missing=missing,
        limited=limited,
        undeclared=sorted({header.model for header in found.headers} - set(study.models)),
        runs=runs_of(found.headers),
        title=title,
    )


def missing_cases(study: Study, rows: Iterable[Row]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Ids by model of cases without a record, and of those with a record of a limited run only.

    Only suites with at least one record of the model are searched. Covers cases pruned by PPM with plain widths.
    """
    begun: dict[str, set[str]] = {}
    complete: set[str] = set()
    partial: set[str] = set()
    for row in rows:
        begun.setdefault(row["model"], set()).update(row["suites"].split())
        (partial if row["limit"] else complete).add(row["case"])
    missing: dict[str, list[str]] = {}
    limited: dict[str, list[str]] = {}
    for case in build_cases(study):
        if case.id not in complete and begun.get(case.model.key, set()) & set(case.suites):
            (limited if case.id in partial else missing).setdefault(case.model.key, []).append(case.id)
    return missing, limited


def runs_of(headers: Iterable[Header]) -> list[Run]:
    """Group records by model, device, dtype, versions, commit and limit; groups keep the order of `headers`."""
    groups: dict[Header, list[str]] = {}
    for header in headers:
        groups.setdefault(replace(header, started_at=""), []).append(header.started_at)
    return [_run(key, sorted(begun)) for key, begun in groups.items()]


def _run(key: Header, begun: Sequence[str]) -> Run:
    return Run(
        model=key.model,
        device=key.device,
        dtype=key.dtype,
        versions=dict(key.versions),
        git_commit=key.git_commit,
        limit=key.limit,
        records=len(begun),
        first_at=begun[0],
        last_at=begun[-1],
    )
