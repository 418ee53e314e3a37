"""Points of the figures of change: each score's change against the baseline in per cent, and its columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glu_lib.analysis import HeadlineTable
from glu_lib.analysis.table import level_text, row_level
from glu_lib.report import number
from glu_lib.results.collapse import LIMIT_TEXT

CHANGE_COLUMNS = {
    "task": "task",
    "metric": "metric",
    "level": "level",
    "expansion_ratio": "expansion ratio",
    "value": "score",
    "change": "change, %",
    "low": "95 % from, %",
    "high": "to, %",
    "p_holm": "p, Holm-adjusted",
}
# Columns of a tooltip: the score is text, because it may have collapsed.
TOLD = {"score" if name == "value" else name: title for name, title in CHANGE_COLUMNS.items()}
CHANGE_NUMBERS = ("change", "low", "high", "p_holm")
_ALL_LOST = -100.0  # per cent; of a collapsed score, baseline / value is 0


def change_percent(row: dict[str, Any], delta: float | None) -> float | None:
    """Change of the score in per cent of its baseline; positive is better.

    The formula is delta / baseline. For metrics where lower is better it is baseline / (baseline + delta) - 1, which
    stays above -100 %. None without a baseline, or if the baseline or the value is not above 0.
    """
    baseline = row["baseline"]
    if delta is None or baseline is None or baseline <= 0:
        return None
    if row["higher_is_better"]:
        return float(100 * delta / baseline)
    return float(100 * (baseline / (baseline + delta) - 1)) if baseline + delta > 0 else None


def score_change(row: dict[str, Any]) -> float | None:
    """`change_percent` of a row's own change; -100 for a collapsed value, which has no numeric change."""
    has_baseline = row["baseline"] is not None and row["baseline"] > 0
    return _ALL_LOST if row.get("is_collapsed") and has_baseline else change_percent(row, row["delta"])


def score_interval(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """`change_percent` of both ends of a change's interval, lower end first; -100 for a collapsed end."""
    low, high = (
        _ALL_LOST if row.get(name) is None and row.get("p") is not None else change_percent(row, row.get(name))
        for name in ("delta_low", "delta_high")
    )
    # Where lower is better, the lower end of delta is the upper end of the score.
    return (low, high) if row["higher_is_better"] else (high, low)


def collapse_note(drawn: Iterable[dict[str, Any]], place: str) -> str:
    """A sentence for the caption if the figure shows collapsed values, otherwise empty."""
    text = f" Crosses {place}: the perplexity has collapsed (above {LIMIT_TEXT}, or infinite)."
    return text if any(point["is_collapsed"] for point in drawn) else ""


def points(found: HeadlineTable) -> list[dict[str, Any]]:
    """The points to draw: one dictionary per task and level, tasks in the table's order."""
    cells = [found.cells.get((task, level)) for task in found.tasks for level, _ in found.levels]
    return [point for row in cells if row is not None and (point := point_of(row))["change"] is not None]


def point_of(row: dict[str, Any]) -> dict[str, Any]:
    """The point of one row, by name of `CHANGE_COLUMNS` and `TOLD`; its change is None if it cannot be drawn."""
    low, high = score_interval(row)
    is_collapsed = bool(row.get("is_collapsed"))
    return {
        "task": row["subject"],
        "metric": row["metric"],
        "level": level_text(row_level(row)),
        "expansion_ratio": row["expansion_ratio"],
        "value": number.score(row) if is_collapsed else row["value"],
        "score": number.score(row),
        "is_collapsed": is_collapsed,
        "change": score_change(row),
        "low": low,
        "high": high,
        "p_holm": row.get("p_holm"),
    }


def distinct(records: Iterable[dict[str, Any]], name: str) -> list[str]:
    """The values of one field, each once, in order."""
    return list(dict.fromkeys(str(record[name]) for record in records))
