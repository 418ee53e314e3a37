"""From tables to text: for the terminal and for Markdown pages."""

from glu_lib.report.markdown import markdown_alignment, markdown_table
from glu_lib.report.terminal import alignment_lines, record_line, terminal_lines, workload_lines

__all__ = ["alignment_lines", "markdown_alignment", "markdown_table", "record_line", "terminal_lines", "workload_lines"]
