"""Own scores beside the published ones, and the published energies in joules, as the cells of tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from glu_lib.analysis.comparison import Beside
from glu_lib.analysis.restated import Defect, RestatedEnergy
from glu_lib.architecture import format_ratio
from glu_lib.report import number

SCORE_COLUMNS = (
    *("model", "level", "expansion ratio", "task", "metric", "own", "published", "difference", "within error"),
    "note",
)
ENERGY_COLUMNS = (
    *("model", "level", "workload", "as published, J/token", "net, J/token", "gross, J/token", "GPU alone, J/token"),
    "defects",
)
_WORDS = {True: "yes", False: "no", None: "not known"}


def score_cells(found: Iterable[Beside]) -> list[tuple[str, ...]]:
    """A row per own score that has a published counterpart, as SCORE_COLUMNS."""
    return [
        (
            pair.model,
            f"p{pair.percent}",
            format_ratio(pair.expansion_ratio),
            pair.task,
            pair.metric,
            f"{pair.own:.4g}",
            f"{pair.published:.4g}",
            f"{pair.difference:+.2g}".replace("-", "−"),
            _WORDS[pair.within_error],
            pair.note,
        )
        for pair in found
    ]


def energy_cells(found: Iterable[RestatedEnergy]) -> list[tuple[str, ...]]:
    """A row per published (model, level, workload), means over its seeds, as ENERGY_COLUMNS; defects by number."""
    groups: dict[tuple[str, int, str], list[RestatedEnergy]] = {}
    for row in found:
        groups.setdefault((row.model, row.percent, row.workload), []).append(row)
    numbers = {defect: place for place, defect in enumerate(Defect, start=1)}
    return [
        (
            model,
            f"p{percent}",
            workload,
            _mean([row.published_energy_per_token_j for row in rows]),
            _mean([row.net_energy_per_token_j for row in rows]),
            _mean([row.energy_per_token_j for row in rows]),
            _mean([row.gpu_energy_per_token_j for row in rows]),
            " ".join(str(place) for place in sorted({numbers[defect] for row in rows for defect in row.defects})),
        )
        for (model, percent, workload), rows in groups.items()
    ]


def defect_lines() -> list[str]:
    """What the numbers in the column of defects mean."""
    return [f"{place}: {defect}" for place, defect in enumerate(Defect, start=1)]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return number.significant(statistics.fmean(known) if known and len(known) == len(values) else None)
