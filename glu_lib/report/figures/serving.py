"""Serving at saturation: throughput and joules per token over the batch size, one curve per level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis.serving import ServingLevel
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.serving_table import level_name, pays_text
from glu_lib.study.architecture import format_ratio

_COLUMNS = {
    "series": "level",
    "label": "expansion ratio",
    "batch_size": "batch size",
    "tokens_per_s": "tokens/s",
    "tokens_per_s_low": "from",
    "tokens_per_s_high": "to",
    "time_per_output_token_ms": "ms per token",
    "time_per_output_token_p99_ms": "99th percentile, ms",
    "energy_per_token_j": "J per token, gross",
    "energy_low_j": "from, J",
    "energy_high_j": "to, J",
    "net_energy_per_token_j": "J per token, net of idle",
    "energy_quality": "joules are",
    "peak_memory_bytes": "peak memory, bytes",
}
_NUMBERS = tuple(name for name in _COLUMNS if name.endswith(("_ms", "_j", "_s", "_low", "_high")))
_ROOM = 1.1  # a factor, so that no point lies on the frame
# Of each figure: the value, its interval, the title of the figure and of its axis.
_FIGURES = (
    ("tokens_per_s", ("tokens_per_s_low", "tokens_per_s_high"), "throughput", "tokens/s"),
    ("energy_per_token_j", ("energy_low_j", "energy_high_j"), "energy", "joules per token (gross)"),
)


def serving_figures(levels: Iterable[ServingLevel]) -> list[Figure]:
    """Per model, workload and device a figure of throughput and one of energy; levels without joules have no energy."""
    groups: dict[tuple[str, ...], list[ServingLevel]] = {}
    for level in levels:
        groups.setdefault((level.model, level.workload, level.weights, level.device), []).append(level)
    figures = []
    for members in groups.values():
        mine = sorted(members, key=lambda level: -level.expansion_ratio)
        for value, interval, title, axis in _FIGURES:
            drawn = [point for level in mine for point in _drawn(level) if point[value] is not None]
            figures += [_figure(mine, drawn, value, interval, title, axis)] if drawn else []
    return figures


def _figure(
    levels: Sequence[ServingLevel],
    drawn: Sequence[dict[str, Any]],
    value: str,
    interval: tuple[str, str],
    title: str,
    axis: str,
) -> Figure:
    import altair as alt

    first, series = levels[0], list(dict.fromkeys(point["series"] for point in drawn))
    sizes = sorted({point["batch_size"] for point in drawn})
    pick, opacity = axes.highlight("series")
    base = alt.Chart(axes.values(drawn)).encode(
        x=alt.X("batch_size:Q", title="batch size (log scale)")
        .scale(type="log", base=2, nice=False, domain=[sizes[0] / _ROOM, sizes[-1] * _ROOM])
        .axis(values=sizes, format="d"),
        color=axes.color("series", series),
        opacity=opacity,
    )
    height = alt.Y(f"{value}:Q", title=axis).scale(zero=True)
    low, high = interval
    bars = [
        known.mark_rule(strokeWidth=1.5).encode(y=alt.Y(f"{low}:Q"), y2=f"{high}:Q")
        for known in axes.with_interval(base, drawn, low, high)
    ]
    lines = base.mark_line().encode(y=height, strokeDash=axes.dash("series", series))
    marks = base.mark_point().encode(y=height, shape=axes.shape("series", series))
    marks = axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS)
    chart = axes.layered(*axes.highlighted(pick, lines, *bars, marks))
    where = "" if first.weights != "random" else " (random weights)"
    pays: dict[str, list[str]] = {}
    for level in levels:
        if level.compared_to is not None:
            pays.setdefault(pays_text(level), []).append(level_name(level))
    told = "; ".join(f"{text}: {', '.join(names)}" for text, names in pays.items())
    return Figure(
        id=figure_id("serving", title, first.model, first.workload, "" if not where else first.weights, first.device),
        title=f"{first.model}{where}: {title} over the batch size, {first.workload}",
        caption=f"{axis[0].upper()}{axis[1:]} over the batch size, which doubles until memory or throughput stops it, "
        f"mean over the repeats, on {first.device}. Bars: 95 % intervals.{f' Pruning pays {told}.' if told else ''}",
        alt=f"Line chart of {axis} over batch sizes from {sizes[0]} to {sizes[-1]} for {number.listed(series)}.",
        section=Section.ENERGY,
        spec=axes.specification(chart.properties(width="container", height=axes.HEIGHT)),
        **figure_table(drawn, _COLUMNS),
    )


def _drawn(level: ServingLevel) -> list[dict[str, Any]]:
    shared = {"series": level_name(level), "label": format_ratio(level.expansion_ratio)}
    names = [name for name in _COLUMNS if name not in shared]
    return [shared | {name: getattr(point, name) for name in names} for point in level.points]
