"""All figures of a report in reading order; figures without data are left out."""

from __future__ import annotations

from glu_lib.analysis import headline_tables
from glu_lib.analysis.model_sizes import model_sizes
from glu_lib.report.contents import ReportData
from glu_lib.report.figures.aligned_times import alignment_figures
from glu_lib.report.figures.beside import beside_figures
from glu_lib.report.figures.blind_scores import blind_figures
from glu_lib.report.figures.change import change_figures, model_figures
from glu_lib.report.figures.figure import Figure, with_distinct_ids
from glu_lib.report.figures.kinds import curve_figures, slope_figures
from glu_lib.report.figures.methods import method_figures
from glu_lib.report.figures.savings import efficiency_figures
from glu_lib.report.figures.scans import scan_figures
from glu_lib.report.figures.serving import serving_figures
from glu_lib.report.figures.size_scores import size_score_figures
from glu_lib.report.figures.skill import skill_figures
from glu_lib.report.figures.trade_off import trade_off_figures
from glu_lib.report.skills import kept_of


def figures_of(data: ReportData) -> list[Figure]:
    """Build every figure for which `data` has numbers; ids are distinct and safe as file names."""
    tables, kept = headline_tables(data.rows), kept_of(data.rows)
    return with_distinct_ids(
        [
            *skill_figures(tables),
            *change_figures(tables),
            *model_figures(tables),
            *size_score_figures(model_sizes(data.rows)),
            *method_figures(tables),
            *curve_figures(data.curves, kept),
            *slope_figures(data.trends, kept),
            *trade_off_figures(data.trade_offs, kept),
            *scan_figures(data.scans),
            *blind_figures(data.beside_blind),
            *beside_figures(data.beside),
            *efficiency_figures(data.efficiencies),
            *alignment_figures(data.efficiencies),
            *serving_figures(data.serving),
        ]
    )
