"""Own scores compared with the published ones: scatter plots, and differences with error bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glu_lib.analysis.published.comparison import Beside
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table
from glu_lib.report.figures.theme import BLUE, GREY, VERMILION
from glu_lib.study.architecture import format_ratio

_COLUMNS = {
    "task": "task",
    "metric": "metric",
    "level": "level",
    "label": "expansion ratio",
    "own": "own",
    "published": "published",
    "difference": "difference",
    "stderr": "standard error of the difference",
    "points": "difference × 100",
    "percent": "difference, %",
    "agreement": "agreement",
}
_NUMBERS = ("own", "published", "difference", "stderr", "points", "percent")
_UNITS = {"points": "hundredths", "percent": "% of published"}
_AGREEMENT = ("within the error", "outside the error", "error unknown")
_COLORS, _SHAPES = [BLUE, VERMILION, GREY], ["circle", "diamond", "square"]
_ERRORS = 1.96  # standard errors to each side: 95 % of a normal distribution
_UNBOUNDED = ("perplexity", "bits_per_byte")  # suffixes of metrics that are not shares (0 to 1)
_ROW_HEIGHT = 9
_TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)


def beside_figures(beside: Iterable[Beside]) -> list[Figure]:
    """Per model: shares (0 to 1) as a scatter plot and as differences in points; other metrics' in per cent."""
    found = list(beside)
    figures = []
    for model in dict.fromkeys(item.model for item in found):
        mine = [item for item in found if item.model == model]
        metrics = {task: len({item.metric for item in mine if item.task == task}) for task in {i.task for i in mine}}
        drawn = [_point(item) | {"row": _row(item, metrics[item.task])} for item in mine]
        shares = [point for point in drawn if not point["metric"].endswith(_UNBOUNDED)]
        others = [p for p in drawn if p["metric"].endswith(_UNBOUNDED) and p["percent"] is not None]
        figures += [_equality(model, shares), _differences(model, shares, "points")] if shares else []
        figures += [_differences(model, others, "percent")] if others else []
    return figures


def _equality(model: str, drawn: Sequence[dict[str, Any]]) -> Figure:
    import altair as alt

    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(axes.values(drawn)).encode(
        x=alt.X("published:Q", title="published score", scale=share).axis(grid=True, values=_TICKS)
    )
    ends = [{"published": 0, "own": 0}, {"published": 1, "own": 1}]
    line = (
        alt.Chart(axes.values(ends)).mark_line(style="note-rule", strokeDash=[3, 3]).encode(x="published:Q", y="own:Q")
    )
    color = _color(drawn)
    bars = [
        known.mark_rule(clip=True).encode(y=alt.Y("own_low:Q"), y2="own_high:Q", color=color)
        for known in axes.with_interval(base, drawn, "own_low", "own_high")
    ]
    marks = base.mark_point(opacity=0.9).encode(
        y=alt.Y("own:Q", title="own score", scale=share).axis(values=_TICKS),
        color=color,
        shape=_shape(drawn),
    )
    marks = axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS)
    return Figure(
        id=figure_id("published", model),
        title=f"{model}: own scores against the published ones",
        caption="One point per task and level, for metrics between 0 and 1. Dotted line: equality. Bars: 95 % "
        "intervals (1.96 standard errors of the difference).",
        alt=f"Scatter plot of {len(drawn)} own scores against published ones with the line of equality.",
        section=Section.PUBLISHED,
        spec=axes.specification(axes.layered(line, *bars, marks).properties(width="container", height=380)),
        **figure_table(drawn, _COLUMNS),
    )


def _differences(model: str, drawn: Sequence[dict[str, Any]], unit: str) -> Figure:
    import altair as alt

    rows = list(dict.fromkeys(point["row"] for point in drawn))
    levels = sorted({point["level"] for point in drawn})
    base = alt.Chart(axes.values(drawn)).encode(
        y=alt.Y("row:N", title=None, sort=rows).axis(grid=True, ticks=False, bandPosition=0),
        yOffset=alt.YOffset("level:N", sort=levels),
        color=_color(drawn),
    )
    bars = [
        known.mark_rule(strokeWidth=1.25).encode(x=alt.X(f"{unit}_low:Q"), x2=f"{unit}_high:Q")
        for known in axes.with_interval(base, drawn, f"{unit}_low", f"{unit}_high")
    ]
    marks = base.mark_point(size=36).encode(
        x=alt.X(f"{unit}:Q", title=f"difference, {_UNITS[unit]}").axis(grid=True),
        shape=_shape(drawn),
    )
    marks = axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS)
    zero = alt.Chart(axes.values([{unit: 0}])).mark_rule(style="zero-rule").encode(x=f"{unit}:Q")
    height = max(_ROW_HEIGHT * len(levels), 24) * len(rows)
    return Figure(
        id=figure_id("difference", model, None if unit == "points" else "perplexity"),
        title=f"{model}: difference to the published {'scores' if unit == 'points' else 'perplexities'}",
        caption=f"Own minus published score in {_UNITS[unit]}. Within a task, levels run from the baseline (top) to "
        "the narrowest. Bars: 1.96 standard errors of the difference, where known.",
        alt=f"Dot plot of {len(drawn)} differences by task, {_counted(drawn)}.",
        section=Section.PUBLISHED,
        spec=axes.specification(axes.layered(zero, *bars, marks).properties(width="container", height=height)),
        **figure_table(drawn, _COLUMNS),
    )


def _row(item: Beside, metrics: int) -> str:
    """The task, with its metric if the task has several."""
    return str(item.task) if metrics == 1 else f"{item.task} {item.metric}"


def _counted(drawn: Sequence[dict[str, Any]]) -> str:
    counts = {name: sum(point["agreement"] == name for point in drawn) for name in _AGREEMENT}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _point(item: Beside) -> dict[str, Any]:
    half = None if item.stderr is None else _ERRORS * item.stderr
    unit = 100 / item.published if item.published else None
    percent = None if unit is None else unit * item.difference
    place = {None: 2, True: 0, False: 1}[item.within_error]
    point = {name: getattr(item, name) for name in ("task", "metric", "own", "published", "difference", "stderr")}
    return point | {
        "level": f"p{item.percent:02d}" if item.percent else "p0",
        "label": format_ratio(item.expansion_ratio),
        "points": 100 * item.difference,
        "percent": percent,
        "agreement": _AGREEMENT[place],
        "own_low": None if half is None else item.own - half,
        "own_high": None if half is None else item.own + half,
        "points_low": None if half is None else 100 * (item.difference - half),
        "points_high": None if half is None else 100 * (item.difference + half),
        "percent_low": None if half is None or unit is None or percent is None else percent - unit * half,
        "percent_high": None if half is None or unit is None or percent is None else percent + unit * half,
    }


def _color(drawn: Sequence[dict[str, Any]]) -> Any:
    import altair as alt

    places = _present(drawn)
    domain, colors = [_AGREEMENT[place] for place in places], [_COLORS[place] for place in places]
    return alt.Color("agreement:N", title=None).scale(domain=domain, range=colors)


def _shape(drawn: Sequence[dict[str, Any]]) -> Any:
    import altair as alt

    places = _present(drawn)
    domain, shapes = [_AGREEMENT[place] for place in places], [_SHAPES[place] for place in places]
    return alt.Shape("agreement:N", title=None).scale(domain=domain, range=shapes)


def _present(drawn: Sequence[dict[str, Any]]) -> list[int]:
    found = {point["agreement"] for point in drawn}
    return [place for place, name in enumerate(_AGREEMENT) if name in found]
