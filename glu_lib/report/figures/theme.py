"""The look of figures on paper and on the themed page: colour-blind-safe colours, shapes, dashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Okabe and Ito, Color Universal Design (2008); without yellow, which is hard to see on white.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#8A8F98"

# Six shapes and seven colours: up to 42 series differ in colour or shape.
POINT_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 2, 1, 2])
KIND_COLORS = {"fragile": VERMILION, "robust": BLUE, "improving": GREEN, "undecided": GREY}
KIND_SHAPES = {"fragile": "triangle-down", "robust": "circle", "improving": "triangle-up", "undecided": "square"}
KIND_DASHES = {"fragile": [7, 3], "robust": [1, 0], "improving": [2, 2], "undecided": [9, 3, 2, 3]}

_FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of text, grid and background; the last series of the palette has the colour of the text."""

    text: str
    muted: str
    grid: str
    background: str | None


PAPER = Ink(text="#1b1f24", muted="#59616b", grid="#e3e6ea", background="#ffffff")
# The page's style sheet resolves these, so a change of theme or printing does not redraw the figures.
SCREEN = Ink(text="var(--ink)", muted="var(--muted)", grid="var(--line)", background=None)


def theme(ink: Ink) -> dict[str, Any]:
    """The Vega-Lite `config` in the colours of `ink`."""
    label = {"labelColor": ink.muted, "titleColor": ink.text, "titleFontWeight": 500, "labelFontSize": 12}
    return {
        "background": ink.background,
        "font": _FONT,
        "view": {"stroke": None},
        "range": {"category": [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, ink.text], "symbol": list(POINT_SHAPES)},
        "axis": {
            **label,
            "titleFontSize": 12,
            "titlePadding": 8,
            "labelPadding": 5,
            "gridColor": ink.grid,
            "domainColor": ink.muted,
            "tickColor": ink.grid,
            "domain": False,
            "tickSize": 4,
        },
        "axisX": {"grid": False, "domain": True, "tickColor": ink.muted},
        "header": {**label, "titleFontSize": 12, "labelFontSize": 12, "labelColor": ink.text, "labelFontWeight": 500},
        "legend": {
            **label,
            "titleFontSize": 12,
            "symbolSize": 70,
            "symbolStrokeWidth": 0,
            "symbolOpacity": 1,
            "labelLimit": 220,
        },
        "title": {
            "color": ink.text,
            "subtitleColor": ink.muted,
            "anchor": "start",
            "frame": "group",
            "fontSize": 15,
            "subtitleFontSize": 12,
            "subtitlePadding": 6,
            "offset": 14,
        },
        "line": {"strokeWidth": 2, "strokeCap": "butt", "strokeJoin": "round"},
        "point": {"size": 48, "filled": True, "opacity": 1},
        "style": {
            "note-rule": {"color": ink.muted, "strokeDash": [3, 3], "strokeWidth": 1},
            "note-text": {"color": ink.muted, "fontSize": 12},
            "zero-rule": {"color": ink.muted, "strokeWidth": 1},
            "collapsed": {"color": ink.text, "strokeWidth": 1.75, "filled": False},
            "front": {"color": ink.muted, "strokeWidth": 1.5},
            "point-label": {"color": ink.muted, "fontSize": 11},
        },
    }
