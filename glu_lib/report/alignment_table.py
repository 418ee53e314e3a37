"""Table cells that compare aligned widths with plain widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glu_lib.analysis.alignment import FIGURES, AlignedPair, Ratio
from glu_lib.analysis.table import level_text
from glu_lib.report import number

ALIGNMENT_COLUMNS = (
    *("level", "width", "aligned width", "plain", "aligned", "aligned / plain", "parameters, aligned / plain"),
    *("plain / unpruned", "aligned / unpruned"),
)


def alignment_tables(pairs: Sequence[AlignedPair]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield one table per model, workload and figure: its title, and its rows in the order of ALIGNMENT_COLUMNS.

    A prefill workload generates one token, so it has no table of times per output token.
    """
    places = dict.fromkeys((pair.model, pair.workload, pair.figure) for pair in pairs)
    for model, workload, figure in places:
        mine = [pair for pair in pairs if (pair.model, pair.workload, pair.figure) == (model, workload, figure)]
        rows = [_cells(pair) for pair in sorted(mine, key=lambda pair: -pair.expansion_ratio)]
        quality = f" ({mine[0].energy_quality})" if "joules" in FIGURES[figure][0] else ""
        yield f"{model}, {workload}, divisor {mine[0].divisor}, {FIGURES[figure][0]}{quality}", rows


def _cells(pair: AlignedPair) -> list[str]:
    return [
        level_text(pair.level),
        str(pair.width),
        str(pair.aligned_width),
        number.significant(pair.plain),
        number.significant(pair.aligned),
        _ratio(pair.aligned_to_plain),
        f"{pair.parameters_ratio:.3f}",
        _ratio(pair.plain_to_unpruned),
        _ratio(pair.aligned_to_unpruned),
    ]


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "–"
    interval = "" if ratio.low is None else f" ({ratio.low:.2f} … {ratio.high:.2f})"
    return f"{ratio.mean:.3f}{interval}"
