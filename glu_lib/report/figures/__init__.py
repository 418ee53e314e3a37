"""Figures as Vega-Lite specifications, each with title, caption and table of numbers."""

from glu_lib.report.figures.figure import Figure, Section
from glu_lib.report.figures.gallery import figures_of

__all__ = ["Figure", "Section", "figures_of"]
