"""The published scores over the expansion ratio with the best blind answer of each task as a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glu_lib.analysis.published.blind import BesideBlind, Verdict
from glu_lib.report import number
from glu_lib.report.figures import axes
from glu_lib.report.figures.figure import Figure, Section, figure_id, figure_table

_COLUMNS = {
    "model": "model",
    "task": "task",
    "expansion_ratio": "expansion ratio",
    "score": "published score",
    "blind": "best blind answer",
    "control": "which is",
}
_UNBOUNDED = "perplexity"  # suffix of the metrics that are no shares (0 to 1)
_NUMBERS = ("expansion_ratio", "score", "blind")


def blind_figures(found: Iterable[BesideBlind]) -> list[Figure]:
    """One figure, one panel per task whose metric lies between 0 and 1; none without published scores."""
    shown = [item for item in found if item.verdict is not Verdict.UNKNOWN and not item.metric.endswith(_UNBOUNDED)]
    drawn = [_point(item, ratio, score) for item in shown for ratio, score in item.curve]
    return [_figure(drawn)] if drawn else []


def _point(item: BesideBlind, ratio: float, score: float) -> dict[str, Any]:
    control, blind = next(iter(item.controls.items()))
    point = {"model": item.model, "task": item.task, "expansion_ratio": ratio, "score": score, "blind": blind}
    return point | {"control": control, "panel": f"{item.task} (blind: {control} {number.plain_score(blind)})"}


def _figure(drawn: list[dict[str, Any]]) -> Figure:
    import altair as alt

    models = list(dict.fromkeys(point["model"] for point in drawn))
    panels = list(dict.fromkeys(point["panel"] for point in drawn))
    pick, opacity = axes.highlight("model")
    base = alt.Chart().encode(
        x=axes.ratio_x([point["expansion_ratio"] for point in drawn], title=None, ticks=axes.COMMON_RATIOS),
        y=alt.Y("score:Q", title=None).axis(tickCount=4).scale(zero=True),
        color=axes.color("model", models),
        opacity=opacity,
    )
    marks = base.mark_point(size=28).encode(shape=axes.shape("model", models))
    lines = base.mark_line(strokeWidth=1.75).encode(strokeDash=axes.dash("model", models))
    series = axes.highlighted(pick, lines, axes.with_tooltip(marks, _COLUMNS, numbers=_NUMBERS))
    blind = alt.Chart().mark_rule(style="note-rule").encode(y=alt.Y("max(blind):Q", title=None))
    layers = axes.layered(blind, *series, data=axes.values(drawn))
    chart = (
        layers.properties(width=axes.PANEL_WIDTH, height=axes.PANEL_HEIGHT)
        .facet(facet=alt.Facet("panel:N", title=None, sort=panels), columns=3)
        .resolve_scale(y="independent")
    )
    return Figure(
        id=figure_id("blind", "published"),
        title="Published scores beside blind answers",
        caption="Published score over the expansion ratio, one panel per task, each with its own scale from 0. Line: "
        "the best answer that does not follow the question, named above its panel. A curve on the line or below it "
        "shows nothing that a blind answer does not have.",
        alt=f"{len(panels)} small line charts, one per task, with the models {', '.join(models)} and a horizontal line "
        "at the score of the best blind answer.",
        section=Section.PUBLISHED,
        spec=axes.specification(chart),
        **figure_table(drawn, _COLUMNS),
    )
