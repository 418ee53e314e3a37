"""Tables of the reference pages in Markdown, as MyST reads it, and sentences from the help texts of options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def sentence(text: str | None) -> str:
    """`text` with a capital letter and a full stop; empty if there is none."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Iterator[str]:
    """The lines of a table: a row `head` of titles, then `rows`; None is an empty cell."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str | None) -> str:
    """A cell as MyST takes it: no bar outside of code, no HTML from `<results>`."""
    parts = (text or "").split("`")
    parts[::2] = [part.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)
