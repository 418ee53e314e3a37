"""Times of prefill and decoding with plain widths and with widths rounded down to a multiple of the divisor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis.efficiency import Efficiency
from glu_lib.analysis.table import level_text
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.figures.savings import FIGURES, Setting, settings_of, workload_order
from glu_lib.study.architecture import format_ratio

_TIMES = {"time_to_first_token_ms": "prefill", "time_per_output_token_ms": "decoding"}
_PLAIN = "plain width"


def alignment_figures(efficiencies: Iterable[Efficiency]) -> list[Figure]:
    """Per setting one figure for prefill and one for decoding; only workloads that ran with rounded widths."""
    figures = []
    for setting, items in settings_of(efficiencies).items():
        rounded = {item.workload for item in items if item.divisor}
        for name in _TIMES:
            known = [item for item in items if item.workload in rounded and getattr(item, name) is not None]
            figures += [_figure(setting, name, known)] if known else []
    return figures


def _figure(setting: Setting, name: str, items: Sequence[Efficiency]) -> Figure:
    import altair as alt

    title, _, unit = FIGURES[name]
    divisors = sorted({item.divisor for item in items if item.divisor})
    kinds = [_PLAIN, *(f"multiple of {divisor}" for divisor in divisors)]
    columns = {
        "workload": "workload",
        "level": "level",
        "kind": "width is",
        "width": "width",
        "label": "expansion ratio",
        "value": f"{title}, {unit}",
    }
    drawn = [
        point
        for kind, divisor in zip(kinds, [None, *divisors], strict=True)
        for point in _points(kind, name, [item for item in items if item.divisor == divisor or not item.level])
    ]
    ratios = [point["expansion_ratio"] for point in drawn]
    pick, opacity = axes.highlight("kind")
    base = alt.Chart().encode(
        x=axes.ratio_x(ratios, title=None, ticks=axes.COMMON_RATIOS),
        y=alt.Y("value:Q", title=unit).scale(zero=False).axis(tickCount=4),
        color=axes.color("kind", kinds),
        opacity=opacity,
    )
    lines = base.mark_line(strokeWidth=1.75).encode(strokeDash=axes.dash("kind", kinds))
    marks = base.mark_point(size=34).encode(shape=axes.shape("kind", kinds))
    marks = axes.with_tooltip(marks, columns, numbers=("value",))
    layers = axes.layered(*axes.highlighted(pick, lines, marks), data=axes.values(drawn))
    panels = (
        layers.properties(width=axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT)
        .facet(facet=alt.Facet("workload:N", title=None, sort=workload_order(items)), columns=3)
        .resolve_scale(y="independent")
    )
    return Figure(
        id=figure_id("aligned", _TIMES[name], *setting.id_parts),
        title=f"{setting.title}: {_TIMES[name]} with plain and with rounded widths",
        caption=f"{title.capitalize()} over the expansion ratio, mean over the repeats, on {setting.device}. One panel "
        "per workload, each with its own scale, which may not start at 0. No intervals are drawn.",
        alt=f"{len({point['workload'] for point in drawn})} small line charts comparing {' and '.join(kinds)}.",
        section=Section.ENERGY,
        spec=axes.specification(panels),
        **figure_table(drawn, columns),
    )


def _points(kind: str, name: str, items: Iterable[Efficiency]) -> list[dict[str, Any]]:
    return [
        {
            "workload": item.workload,
            "level": level_text(item.level),
            "kind": kind,
            "width": item.width,
            "expansion_ratio": item.expansion_ratio,
            "label": format_ratio(item.expansion_ratio),
            "value": getattr(item, name),
        }
        for item in items
    ]
