"""HTML of the page: tables, bars and numbers as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

MISSING = "–"
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #3a7ca5; --warn: #b3541e; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; max-width: 8rem; }
th.text, td.text { text-align: left; } td.long { white-space: normal; text-align: left; }
.bar { display: inline-block; width: 3rem; height: .6rem; background: var(--line); margin-right: .5rem; }
.bar i { display: block; height: 100%; background: var(--bar); }
.warning { border-left: .3rem solid var(--warn); padding: .5rem 1rem; font-weight: 600; }
p, li { max-width: 50rem; }
"""


@dataclass(frozen=True, slots=True)
class Share:
    """A share that is shown with a bar; None is missing."""

    value: float | None


Cell = str | float | int | Share | None


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, thousands separated; a dash for None."""
    if value is None:
        return MISSING
    if value == 0 or isinstance(value, int):
        return f"{value:,}"
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if abs(value) >= 10 ** (digits - 1) else text


def difference(value: float) -> str:
    """A relative difference, in powers of ten."""
    return f"{value:.1e}" if value else "0"


def gibibytes(value: int | None) -> str:
    """Bytes as GiB."""
    return MISSING if value is None else f"{value / 2**30:.2f}"


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds."""
    return number(None if value is None else 1000 * value)


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], *, texts: int = 1) -> str:
    """A table; the first `texts` columns are text, the others numbers. Without rows a line says so."""
    found = list(rows)
    if not found:
        return paragraph("Not measured yet.")
    top = "".join(
        f'<th class="text">{escape(name)}</th>' if i < texts else f"<th>{escape(name)}</th>"
        for i, name in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(_cell(cell, i < texts) for i, cell in enumerate(row))}</tr>\n" for row in found)
    return f'<div class="wide"><table><tr>{top}</tr>\n{body}</table></div>\n'


def paragraph(text: str, *, is_warning: bool = False) -> str:
    """A paragraph of plain text."""
    return f'<p class="warning">{escape(text)}</p>\n' if is_warning else f"<p>{escape(text)}</p>\n"


def heading(text: str) -> str:
    """A heading of a section."""
    return f"<h2>{escape(text)}</h2>\n"


def document(title: str, body: str) -> str:
    """A page that needs no other file."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}</body>\n</html>\n"
    )


def _cell(cell: Cell, is_text: bool) -> str:
    if isinstance(cell, Share):
        if cell.value is None:
            return f"<td>{MISSING}</td>"
        width = min(100.0, max(0.0, 100 * cell.value))
        return f'<td><span class="bar"><i style="width:{width:.0f}%"></i></span>{100 * cell.value:.0f} %</td>'
    text = escape(cell if isinstance(cell, str) else number(cell))
    return f'<td class="text">{text}</td>' if is_text else f"<td>{text}</td>"
