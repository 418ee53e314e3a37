"""Turns tables into text, figures and one HTML page."""

from glu_lib.report.contents import ReportData, report_data, runs_of
from glu_lib.report.files import write_report
from glu_lib.report.markdown import (
    markdown_alignment,
    markdown_listing,
    markdown_name,
    markdown_scan,
    markdown_sizes,
    markdown_table,
)
from glu_lib.report.terminal import (
    alignment_lines,
    record_line,
    scan_lines,
    serving_lines,
    terminal_lines,
    workload_lines,
)

__all__ = [
    "ReportData",
    "alignment_lines",
    "markdown_alignment",
    "markdown_listing",
    "markdown_name",
    "markdown_scan",
    "markdown_sizes",
    "markdown_table",
    "record_line",
    "report_data",
    "runs_of",
    "scan_lines",
    "serving_lines",
    "terminal_lines",
    "workload_lines",
    "write_report",
]
