"""All conclusions from a results folder: significance, trends, claims, efficiency, and the published scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.analysis.alignment import AlignedPair, aligned_pairs
from glu_lib.analysis.answer_texts import form_columns
from glu_lib.analysis.changes import BASELINE, NO_CHANGE, Change
from glu_lib.analysis.claims import GroupCurve, TradeOff, group_curves, trade_offs
from glu_lib.analysis.consolidation import Consolidation, Header, consolidate
from glu_lib.analysis.correlations import Correlation, correlations
from glu_lib.analysis.degradation import Degradation, degradation
from glu_lib.analysis.efficiency import CorrectAnswers, Efficiency, correct_answers, efficiencies
from glu_lib.analysis.level_series import LevelSeries, families, family_of
from glu_lib.analysis.power import detectable
from glu_lib.analysis.published.comparison import ACCURACY_TABLE, Beside, beside, published_rows, unlike
from glu_lib.analysis.random_floor import AgainstRandom
from glu_lib.analysis.recovered import Recovered, with_recovered
from glu_lib.analysis.recovered_notes import missing_beside
from glu_lib.analysis.same_size import SameSize
from glu_lib.analysis.scans import Scan, scans
from glu_lib.analysis.serving import ServingLevel, serving_levels
from glu_lib.analysis.skill import skill_columns
from glu_lib.analysis.table import Row, without_controls
from glu_lib.analysis.trends import Trend, level_trends
from glu_lib.errors import one_line
from glu_lib.results.store import Store


@dataclass(frozen=True, slots=True)
class Conclusions:
    """All conclusions from the records of a results folder; a sequence may be empty.

    `rows` is the tidy table with significance. `problems` names the records and samples that could not be used,
    `untested` the changes that were not tested for other reasons. `unlike` names the scores that cannot be compared
    with the published ones: another model, other prompts, or a collapse. `headers` holds case, done key, environment
    and timing of each record. Claims over several tasks (`curves`, `correlations`, `trade_offs`) cover, for each model,
    the levels pruned by PPM on all layers without a divisor; complete runs are preferred to limited runs. `scans` are
    the layer scans, each beside those of random neurons, `serving` the levels of growing batches. `recovered` holds the
    checkpoints beside their baselines, `not_beside` one line for each level of a baseline that has no record to be
    compared with.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    headers: tuple[Header, ...]
    untested: tuple[str, ...]
    changes: tuple[Change, ...]
    trends: tuple[Trend, ...]
    against_random: tuple[AgainstRandom, ...]
    same_size: tuple[SameSize, ...]
    recovered: tuple[Recovered, ...]
    not_beside: tuple[str, ...]
    curves: tuple[GroupCurve, ...]
    correlations: tuple[Correlation, ...]
    trade_offs: tuple[TradeOff, ...]
    efficiencies: tuple[Efficiency, ...]
    correct_answers: tuple[CorrectAnswers, ...]
    aligned_pairs: tuple[AlignedPair, ...]
    beside: tuple[Beside, ...]
    unlike: tuple[str, ...]
    scans: tuple[Scan, ...]
    serving: tuple[ServingLevel, ...]


def conclude(results_dir: Path, *, remember: bool = False) -> Conclusions:
    """Read a results folder and draw conclusions from it.

    Args:
        results_dir: the results folder.
        remember: save the comparisons in the folder, to speed up later calls. Saved comparisons are always used;
            without `remember` nothing is written.

    Raises:
        RecordError: if the folder does not exist. Unusable records do not raise; they are named in `problems`.
    """
    found = consolidate(results_dir)
    pruned = degradation(found.rows, Store(results_dir), remember=remember)
    rows = with_recovered(with_significance(found.rows, pruned.changes), pruned.recovered)
    return _conclusions(found, rows, pruned)


def conclude_published() -> Conclusions:
    """Conclusions from the published scores, which have no samples: no tests, and slopes from the levels alone."""
    rows = published_rows()
    return _conclusions(Consolidation(tuple(rows), ()), rows, Degradation((), tuple(level_trends(rows))))


def _conclusions(found: Consolidation, rows: list[Row], pruned: Degradation) -> Conclusions:
    main = main_families(rows)
    own = [row for row in without_controls(rows) if row["record"] != ACCURACY_TABLE]
    trends_of: dict[LevelSeries, list[Trend]] = {family: [] for family in main}
    for trend in pruned.trends:
        if trend.family in trends_of:
            trends_of[trend.family].append(trend)
    energy = _energy_rows(rows)
    return Conclusions(
        rows=tuple(rows),
        problems=(
            *found.problems,
            *dict.fromkeys(one_line(change.reason) for change in pruned.changes if change.is_defect),
            *dict.fromkeys(one_line(change.wrong_control) for change in pruned.changes if change.wrong_control),
        ),
        untested=(
            *(
                one_line(change.reason)
                for change in pruned.changes
                if change.comparison is None and not change.is_defect and change.reason != BASELINE
            ),
            *(change.lacks_controls for change in pruned.changes if change.lacks_controls),
        ),
        headers=found.headers,
        changes=pruned.changes,
        trends=pruned.trends,
        against_random=pruned.against_random,
        same_size=pruned.same_size,
        recovered=pruned.recovered,
        not_beside=tuple(missing_beside(rows)),
        curves=tuple(curve for family, mine in main.items() for curve in group_curves(mine, trends_of[family])),
        correlations=tuple(pair for mine in main.values() for pair in correlations(mine)),
        trade_offs=tuple(
            level
            for family, mine in main.items()
            for level in trade_offs(mine, _workload_rows(energy.get(family.model, ()), family))
        ),
        efficiencies=tuple(efficiencies(found.energy_records)),
        correct_answers=tuple(correct_answers(without_controls(rows))),
        aligned_pairs=tuple(aligned_pairs(found.energy_records)),
        beside=tuple(beside(own)),
        unlike=tuple(unlike(own)),
        scans=tuple(scans(found.scan_records)),
        serving=tuple(serving_levels(found.serving_records)),
    )


def with_significance(rows: Iterable[Row], changes: Iterable[Change]) -> list[Row]:
    """All rows, with interval, test and p added to the headline rows whose change was tested.

    Rows of a record whose items are known to differ from p0's lose their baseline and the change against it.
    """
    changes = list(changes)
    known = {change.record: _columns(change) for change in changes}
    unpaired = {change.record for change in changes if change.has_other_items}
    kept = (row | NO_CHANGE if row["record"] in unpaired else row for row in rows)
    return [row | known.get(row["record"], {}) if row["is_headline"] else row for row in kept]


def main_families(rows: Iterable[Row]) -> dict[LevelSeries, list[Row]]:
    """The family for claims, one per model: PPM on all layers without divisor, with the most samples per task."""
    scores = [row for row in rows if row["kind"] == "accuracy" and row["is_headline"]]
    chosen: dict[str, tuple[LevelSeries, list[Row]]] = {}
    for family, mine in families(scores).items():
        if not family.is_main:
            continue
        other = chosen.get(family.model)
        if other is None or _items(family) > _items(other[0]):
            chosen[family.model] = (family, mine)
    return dict(chosen.values())


def _items(family: LevelSeries) -> float:
    return float("inf") if family.limit is None else family.limit


def _columns(change: Change) -> dict[str, Any]:
    found = change.comparison
    shared = skill_columns(change.skill) | form_columns(change.form)
    if found is None:
        return shared
    return shared | {
        "delta_low": found.delta_low,
        "delta_high": found.delta_high,
        "test": found.test,
        "pairs": found.pairs,
        "p": found.p,
        "p_holm": change.p_holm,
        "detectable": detectable(found.delta_low, found.delta_high),
    }


def _energy_rows(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The workload rows of real weights, by model."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == "energy" and row["weights"] != "random":
            found.setdefault(row["model"], []).append(row)
    return found


def _workload_rows(rows: Iterable[Row], family: LevelSeries) -> list[Row]:
    """Workload rows of the family's pruning among those of its model, all with the largest prompt limit.

    That limit is not the tasks'.
    """
    mine = [row for row in rows if row["percent"] == 0 or replace(family_of(row), limit=family.limit) == family]
    limits = [row["limit"] for row in mine]
    largest = None if None in limits else max(limits, default=None)
    return [row for row in mine if row["limit"] == largest]
