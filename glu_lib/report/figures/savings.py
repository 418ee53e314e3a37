"""Joules per token by hardware part, throughput and times over the expansion ratio, per workload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.efficiency import Efficiency
from glu_lib.analysis.level_series import LevelSeries
from glu_lib.analysis.table import level_text
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.figures.theme import BLUE, GREEN, GREY, VERMILION
from glu_lib.study import STUDY
from glu_lib.study.architecture import format_ratio

PART_NAMES = {"gpu": "GPU", "cpu": "CPU", "ram": "RAM"}
QUALITIES = ("measured", "estimated")
_COLORS = {"GPU": BLUE, "CPU": VERMILION, "RAM": GREEN, "total": GREY}
FIGURES = {
    "tokens_per_s": ("throughput", "generated tokens per second; higher is better", "tokens/s"),
    "time_to_first_token_ms": ("time to first token", "milliseconds until the first token (prefill)", "ms"),
    "time_per_output_token_ms": ("time per output token", "milliseconds per later token (decoding), median", "ms"),
}
_ENERGY = {
    "workload": "workload",
    "level": "level",
    "label": "expansion ratio",
    "part": "part",
    "quality": "quality",
    "joules": "joules per token",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Model, method, layer set, weights and device; one figure shows one setting."""

    model: str
    method: str | None
    layers: str | None
    weights: str
    device: str

    @property
    def title(self) -> str:
        """The name in titles: `llama1b`, `llama1b, VOW`, `llama1b (random weights)`."""
        words = LevelSeries(self.model, self.method, None, self.layers, None).words
        return f"{', '.join([self.model, *words])}{' (random weights)' if self.weights == 'random' else ''}"

    @property
    def id_parts(self) -> tuple[str, ...]:
        """Parts of a figure's id, for `figure_id`."""
        return (
            self.model,
            self.method or "",
            self.layers or "",
            "" if self.weights == "real" else self.weights,
            self.device,
        )


def settings_of(efficiencies: Iterable[Efficiency]) -> dict[Setting, list[Efficiency]]:
    """Group efficiencies by setting; the baseline is part of every group of its model."""
    found = list(efficiencies)
    pruned = [item for item in found if item.level] or found
    keys = dict.fromkeys(Setting(item.model, item.method, item.layers, item.weights, item.device) for item in pruned)
    return {
        key: [
            item
            for item in found
            if (item.model, item.weights, item.device) == (key.model, key.weights, key.device)
            and ((item.method, item.layers) == (key.method, key.layers) or not item.level)
        ]
        for key in keys
    }


def efficiency_figures(efficiencies: Iterable[Efficiency]) -> list[Figure]:
    """Per setting: energy by hardware part, then throughput and times; only levels with plain widths."""
    figures = []
    for setting, items in settings_of(efficiencies).items():
        plain = sorted((item for item in items if item.divisor is None), key=lambda item: -item.expansion_ratio)
        figures += _energy_figure(setting, plain)
        for name in FIGURES:
            figures += _course_figure(setting, name, [item for item in plain if getattr(item, name) is not None])
    return figures


def _energy_figure(setting: Setting, items: Sequence[Efficiency]) -> list[Figure]:
    import altair as alt

    drawn = [bar for item in items for bar in _bars(item)]
    if not drawn:
        return []
    labels = list(dict.fromkeys(bar["label"] for bar in drawn))
    named = {bar["series"]: bar for bar in sorted(drawn, key=lambda bar: (int(bar["place"]), str(bar["quality"])))}
    series, colors = list(named), [_COLORS[bar["part"]] for bar in named.values()]
    solid = [0.95 if bar["quality"] == QUALITIES[0] else 0.2 for bar in named.values()]
    marks = (
        alt.Chart(axes.values(drawn))
        .mark_bar(strokeWidth=1, width={"band": 0.78})
        .encode(
            x=alt.X("label:N", title=None, sort=labels).axis(labelAngle=0, labelOverlap="greedy", ticks=False),
            y=alt.Y("joules:Q", title="joules per token").axis(tickCount=4),
            color=alt.Color("series:N", title=None, sort=series).scale(domain=series, range=colors),
            stroke=alt.Stroke("series:N", title=None, sort=series).scale(domain=series, range=colors),
            fillOpacity=alt.FillOpacity("series:O", title=None, sort=series).scale(
                type="ordinal", domain=series, range=solid
            ),
            order=alt.Order("place:O"),
        )
    )
    marks = axes.with_tooltip(marks, _ENERGY, numbers=("joules",))
    panels = (
        marks.properties(width=axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT)
        .facet(facet=alt.Facet("workload:N", title=None, sort=workload_order(items)), columns=3)
        .resolve_scale(y="independent")
    )
    counts = {quality: sum(bar["quality"] == quality for bar in drawn) for quality in QUALITIES}
    told = ", ".join(f"{count} {quality}" for quality, count in counts.items() if count)
    return [
        Figure(
            id=figure_id("energy", *setting.id_parts),
            title=f"{setting.title}: joules per generated token",
            caption=f"Gross energy per generated token by hardware part, mean over the repeats, on {setting.device}. "
            "One panel per workload, each with its own scale. Solid: measured; light: estimated. No intervals drawn.",
            alt=f"Stacked bars per workload over the expansion ratio; of the parts drawn, {told}.",
            section=Section.ENERGY,
            spec=axes.specification(panels),
            **figure_table(drawn, _ENERGY),
        )
    ]


def _bars(item: Any) -> list[dict[str, Any]]:
    """The energy of each known part of an item; only the total if no part is known; nothing without a total."""
    if item.energy_per_token_j is None:
        return []
    shared = {"workload": item.workload, "level": level_text(item.level), "label": format_ratio(item.expansion_ratio)}
    bars = []
    for place, (name, part) in enumerate(PART_NAMES.items()):
        joules = getattr(item, f"{name}_energy_per_token_j")
        quality = getattr(item, f"{name}_quality")
        bars += [] if joules is None else [{"part": part, "quality": quality, "joules": joules, "place": place}]
    if not bars:
        bars = [{"part": "total", "quality": item.energy_quality, "joules": item.energy_per_token_j, "place": 0}]
    return [shared | bar | {"series": f"{bar['part']}, {bar['quality'] or 'quality unknown'}"} for bar in bars]


def _course_figure(setting: Setting, name: str, items: Sequence[Efficiency]) -> list[Figure]:
    import altair as alt

    if len({item.level for item in items}) < 2:
        return []
    title, meaning, unit = FIGURES[name]
    columns = {"workload": "workload", "level": "level", "label": "expansion ratio", "value": f"{title}, {unit}"}
    drawn = [
        {
            "workload": item.workload,
            "level": level_text(item.level),
            "expansion_ratio": item.expansion_ratio,
            "label": format_ratio(item.expansion_ratio),
            "value": getattr(item, name),
        }
        for item in items
    ]
    workloads, ratios = workload_order(items), [point["expansion_ratio"] for point in drawn]
    pick, opacity = axes.highlight("workload")
    base = alt.Chart(axes.values(drawn)).encode(
        x=axes.ratio_x(ratios),
        y=alt.Y("value:Q", title=f"{title}, {unit}").scale(zero=True),
        color=axes.color("workload", workloads),
        opacity=opacity,
    )
    lines = base.mark_line().encode(strokeDash=axes.dash("workload", workloads))
    marks = base.mark_point().encode(shape=axes.shape("workload", workloads))
    marks = axes.with_tooltip(marks, columns, numbers=("value",))
    chart = axes.layered(*axes.star_layers(ratios), *axes.highlighted(pick, lines, marks))
    return [
        Figure(
            id=figure_id(title, *setting.id_parts),
            title=f"{setting.title}: {title}",
            caption=f"{meaning[0].upper()}{meaning[1:]}; over the expansion ratio, one line per workload, mean over "
            f"the repeats, on {setting.device}. No intervals are drawn.",
            alt=f"Line chart of {title} over the expansion ratio for {len(workloads)} workloads.",
            section=Section.ENERGY,
            spec=axes.specification(chart.properties(width="container", height=280)),
            **figure_table(drawn, columns),
        )
    ]


def workload_order(items: Iterable[Efficiency]) -> list[str]:
    """Workloads in the order of the built-in study, followed by those of a study file in alphabetical order."""
    declared = list(STUDY.workloads)
    names = {str(item.workload) for item in items}
    return sorted(names, key=lambda name: (declared.index(name) if name in declared else len(declared), name))
