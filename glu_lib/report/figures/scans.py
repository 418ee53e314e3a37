"""Layer scans drawn: the harm of each layer beside random's, and predicted beside measured perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from glu_lib.analysis.scans import SMALL_HARM, Scan, ScannedLayer
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.figures.theme import BLUE, GREEN, GREY, ORANGE, POINT_SHAPES, PURPLE, SKY, VERMILION
from glu_lib.results.collapse import LIMIT, exp
from glu_lib.study.layers import as_ranges
from glu_lib.wording import counted

_COLUMNS = {
    "method": "method",
    "layer": "layer",
    "factor": "factor on the perplexity",
    "is_collapsed": "collapsed",
    "low": "lowest seed",
    "high": "highest seed",
    "given_back": "given back when spared, factor",
    "activation_share": "squared activations removed, %",
    "is_spared": "spared",
}
_TOLD = {name: title for name, title in _COLUMNS.items() if name != "is_collapsed"}
_NUMBERS = ("factor", "low", "high", "given_back", "activation_share")
_STEP_COLUMNS = {
    "method": "method",
    "count": "spared layers",
    "spared": "which",
    "series": "perplexity",
    "perplexity": "value",
}
_PREDICTED, _MEASURED = "predicted: sum of single harms", "measured"
_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_RANDOM_SHAPE = "diamond"
_NO_HARM = (0.98, 1.05)  # factors that every axis of harms spans
_ROOM = 0.04  # of the axis, above and below the values
_FEW_TICKS = 4.0  # an axis over a smaller factor gets ticks at equal distances
_MOST_LABELS = 3  # per method
_NAMED_SHARE = 0.1  # of the largest harm


def scan_figures(found: Iterable[Scan]) -> list[Figure]:
    """Per model, level and limit: the harm of each layer, and the steps of sparing if a layer was tried."""
    groups: dict[tuple[str, float, int | None], list[Scan]] = {}
    for scan in found:
        groups.setdefault((scan.model, scan.percent, scan.limit), []).append(scan)
    figures = []
    for scans in groups.values():
        figures.append(_harms(scans))
        tried = [scan for scan in scans if len(scan.steps) > 1]
        figures += [_steps(tried)] if tried else []
    return figures


def _harms(scans: Sequence[Scan]) -> Figure:
    import altair as alt

    first = scans[0]
    drawn = [point for scan in scans for point in _points(scan)]
    random = list(_random_points(scans))
    height = _height([*drawn, *random], "factor", title="perplexity / unpruned", around=_NO_HARM)
    methods = list(dict.fromkeys(point["method"] for point in (*drawn, *random)))
    colors = [*_cycled(_COLORS, len(methods) - bool(random)), *([GREY] if random else [])]
    shapes = [*_cycled([name for name in POINT_SHAPES if name != _RANDOM_SHAPE], len(methods) - bool(random))]
    shapes += [_RANDOM_SHAPE] if random else []
    across = alt.X("layer:O", title="pruned layer, counted from 0", sort=None)
    across = across.axis(labelAngle=0, labelOverlap="parity").scale(
        domain=[layer.layer for layer in max((scan.layers for scan in scans), key=len)]
    )
    pick, opacity = axes.highlight("method")
    base = alt.Chart(axes.values([*random, *drawn])).encode(
        x=across,
        color=alt.Color("method:N", title=None, sort=methods).scale(domain=methods, range=colors),
        opacity=opacity,
    )
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3).encode(y=alt.Y("low:Q"), y2="high:Q")
    shape = alt.Shape("method:N", title=None, sort=methods).scale(domain=methods, range=shapes)
    marks = base.mark_point(size=52).encode(y=height, shape=shape)
    marks = axes.with_tooltip(marks, _TOLD, numbers=_NUMBERS)
    lines = base.transform_filter("!isValid(datum.low)").mark_line(strokeWidth=1).encode(y=height)
    labels = base.transform_filter("isValid(datum.label)").mark_text(style="point-label", dy=-14)
    labels = labels.encode(y=height, text="label:N")
    crosses = axes.collapsed_marks(base, drawn, _TOLD, numbers=_NUMBERS, y=height)
    layers = [*axes.highlighted(pick, *([bars] if random else []), lines, marks), labels, *crosses]
    chart = axes.layered(axes.zero_layer(1), *layers)
    seeds = max(scan.random_seeds for scan in scans)
    beside = f" Bars: random neurons, lowest to highest of {counted(seeds, 'seed')}." if random else ""
    named = "The most harmful layers are named. " if any(point["label"] for point in drawn) else ""
    return Figure(
        id=figure_id("layers", *_id_parts(first)),
        title=f"{_title(first)}: harm of each layer",
        caption=f"Perplexity with one layer pruned by {first.percent} % / unpruned; 1 is no harm.{beside} "
        f"{named}The text is short ({first.targets:,} tokens): small "
        "differences mean nothing.",
        alt=f"Dots over {len(first.layers)} layers, for {number.listed(methods)}; most harmful: "
        f"{'; '.join(_most(scan) for scan in scans)}.",
        section=Section.LAYERS,
        spec=axes.specification(chart.properties(width="container", height=axes.HEIGHT)),
        **figure_table([*drawn, *random], _COLUMNS),
    )


def _steps(scans: Sequence[Scan]) -> Figure:
    import altair as alt

    first = scans[0]
    drawn = [point for scan in scans for point in _step_points(scan)]
    unpruned = exp(first.unpruned)
    height = _height(drawn, "perplexity", title="perplexity", around=(unpruned, unpruned * _NO_HARM[1]))
    series = [_PREDICTED, _MEASURED]
    most = max(point["count"] for point in drawn)
    across = alt.X("count:Q", title="spared layers").axis(tickMinStep=1, values=list(range(most + 1)), format="d")
    base = alt.Chart().encode(
        x=across.scale(domain=[-0.1, most + 0.1], nice=False),
        y=height,
        color=alt.Color("series:N", title=None, sort=series).scale(domain=series, range=[GREY, BLUE]),
    )
    marks = base.mark_point(size=52).encode(shape=axes.shape("series", series))
    marks = axes.with_tooltip(marks, _STEP_COLUMNS, numbers=("perplexity",))
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=axes.dash("series", [_MEASURED, _PREDICTED]))
    chart = (
        axes.layered(lines, marks, data=axes.values(drawn))
        .properties(width=2 * axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT)
        .facet(facet=alt.Facet("method:N", title=None), columns=2)
    )
    return Figure(
        id=figure_id("sparing", *_id_parts(first)),
        title=f"{_title(first)}: perplexity over the number of spared layers",
        caption="All layers are pruned but the spared ones, the most harmful first. Predicted: the unpruned "
        "log-perplexity plus the harms of the pruned layers alone. A distance between the lines: harms do not add up.",
        alt=f"Line chart of predicted and measured perplexity for {number.listed([scan.method for scan in scans])}, "
        f"with 0 to {most} layers spared.",
        section=Section.LAYERS,
        spec=axes.specification(chart),
        **figure_table(drawn, _STEP_COLUMNS),
    )


def _points(scan: Scan) -> Iterator[dict[str, Any]]:
    first, *_ = ranked = scan.by_harm
    least = max(SMALL_HARM, _NAMED_SHARE * first.harm)
    named = {layer.layer for layer in ranked[:_MOST_LABELS] if layer.harm > least}
    for layer in scan.layers:
        factor = _value(layer.harm)
        yield {
            "method": scan.method,
            "layer": layer.layer,
            "factor": factor,
            "is_collapsed": factor is None,
            "given_back": _value(layer.given_back),
            "activation_share": None if layer.activation_share is None else 100 * layer.activation_share,
            "is_spared": layer.is_spared,
            "low": None,
            "high": None,
            "label": f"layer {layer.layer}" if layer.layer in named else None,
        }


def _random_points(scans: Sequence[Scan]) -> Iterator[dict[str, Any]]:
    """The mean and range of random neurons per layer, of the scan that was compared with the most seeds."""
    most = max(scans, key=lambda scan: scan.random_seeds)
    name = f"random ({counted(most.random_seeds, 'seed')})"
    for layer in most.layers:
        if layer.random is not None:
            yield {"method": name, "layer": layer.layer, **_random_place(layer), "label": None}


def _random_place(layer: ScannedLayer) -> dict[str, Any]:
    assert layer.random is not None
    low, mean, high = (_value(value) for value in (layer.random.low, layer.random.mean, layer.random.high))
    return {"factor": mean, "is_collapsed": mean is None, "low": low, "high": high if high is not None else mean}


def _step_points(scan: Scan) -> Iterator[dict[str, Any]]:
    for step in scan.steps:
        for series, value in ((_PREDICTED, step.predicted), (_MEASURED, step.measured)):
            yield {
                "method": scan.method,
                "count": len(step.spared),
                "spared": as_ranges(step.spared) or "–",
                "series": series,
                "perplexity": _value(value),
            }


def _value(harm: float) -> float | None:
    """A factor or a perplexity; None if it is collapsed."""
    found = exp(harm)
    return None if found > LIMIT else float(found)


def _cycled(values: Sequence[str], count: int) -> list[str]:
    return [values[place % len(values)] for place in range(count)]


def _id_parts(scan: Scan) -> tuple[str, ...]:
    return (scan.model, f"p{scan.percent}", *([] if scan.limit is None else [f"limit{scan.limit}"]))


def _title(scan: Scan) -> str:
    limited = "" if scan.limit is None else f", limit {scan.limit}"
    return f"{scan.model} p{scan.percent}{limited}"


def _most(scan: Scan) -> str:
    most = scan.by_harm[0]
    return f"{scan.method} layer {most.layer} ({number.factor(most.harm)})"


def _height(points: Sequence[dict[str, Any]], name: str, *, title: str, around: Sequence[float]) -> Any:
    """Give each point its `place` on a logarithmic y axis, the edge if it is collapsed; returns the channel.

    The axis spans at least `around`, so that differences that mean nothing do not fill the figure.
    """
    import altair as alt

    finite = [point[key] for point in points for key in (name, "low", "high") if point.get(key) is not None]
    has_collapsed = any(point[name] is None for point in points)
    edge = axes.edge([*finite, *around]) if has_collapsed else None
    for point in points:
        point["place"] = edge if point[name] is None else point[name]
    if edge is not None:
        return axes.log_y("place", [*finite, *around], title=title, edge=edge)
    low, high = min(*finite, *around), max(*finite, *around)
    ticks = axes.log_ticks([low, high]) if high / low > _FEW_TICKS else _even_ticks(low, high)
    room = (high / low) ** _ROOM
    scale = alt.Scale(type="log", nice=False, domain=[low / room, high * room])
    return alt.Y("place:Q", title=title).scale(scale).axis(values=ticks, format="~g")


def _even_ticks(low: float, high: float) -> list[float]:
    """About five round numbers at equal distances from `low` to `high`."""
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * size for size in (1, 2, 5, 10) if unit * size >= rough)
    return [float(f"{place * step:.6g}") for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
