"""From tables to text: for the terminal and for Markdown pages."""

from glu_lib.report.markdown import markdown_table
from glu_lib.report.terminal import record_line, terminal_lines, workload_lines

__all__ = ["markdown_table", "record_line", "terminal_lines", "workload_lines"]
