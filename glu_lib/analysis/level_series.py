"""Level series: the levels of one model pruned in one way, and what each retains of the unpruned model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from glu_lib.analysis.table import LevelKey, Row, level_text, without_controls
from glu_lib.study import Method
from glu_lib.study.items import LimitFrom

Scope = tuple[str, int | None, str | None]  # model, limit, subset


@dataclass(frozen=True, slots=True)
class LevelSeries:
    """Key of a family of levels: one model, one pruning method, one divisor, one layer set, the same items.

    `limit` is the sample limit, `subset` says which samples if they are not the first ones.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    limit: int | None
    subset: str | None = None

    @property
    def scope(self) -> Scope:
        """The model and the items."""
        return self.model, self.limit, self.subset

    @property
    def is_main(self) -> bool:
        """Whether claims and the main table are about it: PPM on all layers, widths not rounded."""
        return self.method in (None, Method.PPM) and self.divisor is None and self.layers is None

    @property
    def words(self) -> list[str]:
        """What differs from PPM on all layers with plain widths: `random1`, `layers 1-29`, `divisor 64`."""
        parts = [] if self.method in (None, Method.PPM) else [str(self.method)]
        parts += [f"layers {self.layers}"] if self.layers else []
        return parts + ([f"divisor {self.divisor}"] if self.divisor else [])

    def name_of(self, level: LevelKey) -> str:
        """A level with all that differs from PPM, plain widths and all samples: `p40`, `p10, L2, limit 100 spread`."""
        limited = [f"limit {self.limit}{f' {self.subset}' if self.subset else ''}"] if self.limit else []
        return ", ".join([level_text(level), *self.words, *limited])


def relative_score(row: Row) -> float | None:
    """Score relative to its baseline, higher is better: value / baseline, or baseline / value if lower is better.

    It is not corrected for chance: a four-choice task that falls from 0.5 to guessing gets 0.5, not 0, and a task that
    is guessed at all levels keeps 1. A correction would divide by the baseline's distance from chance, which is about 0
    for tasks that are guessed from the start. A collapsed value gets 0, the limit of baseline / value. None if there is
    no baseline, or it is not above 0.
    """
    value, baseline = row["value"], row["baseline"]
    if baseline is not None and baseline > 0 and row.get("is_collapsed"):
        return 0.0
    if value is None or baseline is None or baseline <= 0:
        return None
    if row["higher_is_better"]:
        return float(value / baseline)
    return float(baseline / value) if value > 0 else None


def retained(row: Row) -> float | None:
    """What a level keeps, 1 unpruned: its skill, or its relative score if its controls are not known.

    None if the unpruned model has no skill to lose.
    """
    return row["skill"] if row.get("blind") is not None else relative_score(row)


def families(rows: Iterable[Row]) -> dict[LevelSeries, list[Row]]:
    """Headline rows of accuracy cases by family, in the rows' order, without controls.

    Each family includes its model's baselines of the same limit. A model with only a baseline gives no family.
    """
    scores = [row for row in without_controls(rows) if row["kind"] == "accuracy" and row["is_headline"]]
    keys = dict.fromkeys(family_of(row) for row in scores if row["percent"] != 0)
    mine = by_scope(scores)
    return {key: [row for row in mine[key.scope] if row["percent"] == 0 or family_of(row) == key] for key in keys}


def by_task(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """A family's rows by task, sorted by percentage; rows without a retained share are left out.

    Skill and relative score are never mixed in a task: if the controls of one level are not known, all of its rows are
    taken without theirs.
    """
    tasks: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["percent"]):
        tasks.setdefault(row["subject"], []).append(row)
    for task, levels in tasks.items():
        if any(row.get("blind") is None for row in levels):
            levels = [row | {"blind": None} for row in levels]
        tasks[task] = [row for row in levels if retained(row) is not None]
    return {task: levels for task, levels in tasks.items() if levels}


def family_of(row: Row) -> LevelSeries:
    """The family of a pruned row."""
    return LevelSeries(row["model"], row["method"], row["divisor"], row["layers"], row["limit"], row.get("subset"))


def scope_of(row: Row) -> Scope:
    """The model and the items of a row: what it shares with its baseline and its controls."""
    return row["model"], row["limit"], row.get("subset")


def by_scope(rows: Iterable[Row]) -> dict[Scope, list[Row]]:
    """The rows by model and items."""
    found: dict[Scope, list[Row]] = {}
    for row in rows:
        found.setdefault(scope_of(row), []).append(row)
    return found


def only(limit: int | None, subset: str | None) -> str:
    """How a title marks that not all samples were scored: `only 8 samples per task`; empty for all."""
    if subset and subset != LimitFrom.SPREAD:
        return f"only the samples of {subset.removeprefix('samples_')}.json"
    return f"only {limit} samples per task{', spread over the data set' if subset else ''}" if limit else ""
