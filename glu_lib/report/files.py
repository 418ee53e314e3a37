"""Writes the report: the page, and each figure as SVG and PNG. Each file is replaced atomically."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glu_lib.analysis.flips import flips
from glu_lib.errors import ReportError
from glu_lib.report.contents import ReportData
from glu_lib.report.explorer import render_items
from glu_lib.report.figures import Figure, figures_of
from glu_lib.report.figures.theme import PAPER, theme
from glu_lib.report.page import render_page
from glu_lib.results.store import Store
from glu_lib.results.writing import write_atomically

REPORT_FOLDER = "report"
_WIDTH = 640  # pixels, for a figure that fills its container on the page
_SCALE = 2.0  # PNG files: pixels per unit


def write_report(results_dir: Path, data: ReportData, *, with_files: bool = True) -> list[Path]:
    """Write `report/index.html`, `items.html` and `figures/<id>.svg`, `.png` below `results_dir`; returns the paths.

    The page is the first path. `items.html`, the item explorer, is written if the folder's samples hold items that can
    flip. Its earlier version and the figure files of an earlier report are removed, because the new page may not show
    them.

    Args:
        results_dir: the results folder.
        data: the data to show.
        with_files: also write the figures as files; the page contains them in any case.

    Raises:
        ReportError: if a file cannot be written.
    """
    folder = results_dir / REPORT_FOLDER
    figures = figures_of(data)
    try:
        page = folder / "index.html"
        items = _write_items(folder / "items.html", results_dir, data)
        write_atomically(page, render_page(data, figures, has_items=bool(items)).encode())
        for path in (folder / "figures").glob("*.[sp][vn]g"):
            path.unlink()
        return [page, *items, *(_write_figures(folder / "figures", figures) if with_files else ())]
    except OSError as error:
        raise ReportError(
            f"{folder}: the report cannot be written ({error.strerror}); check free space and permissions"
        ) from error


def _write_items(path: Path, results_dir: Path, data: ReportData) -> list[Path]:
    found = list(flips(data.rows, Store(results_dir)))
    if not any(task.items for task in found):
        path.unlink(missing_ok=True)
        return []
    write_atomically(path, render_items(found, title=data.title).encode())
    return [path]


def static_spec(figure: Figure) -> dict[str, Any]:
    """The specification of a figure outside the page: with its title, and a fixed width if the page would set one."""
    width = {"width": _WIDTH} if figure.spec.get("width") == "container" else {}
    return {**figure.spec, **width, "title": figure.title, "description": figure.alt, "padding": 12}


def _write_figures(folder: Path, figures: Sequence[Figure]) -> list[Path]:
    import vl_convert

    paths = []
    for figure in figures:
        spec, config = static_spec(figure), theme(PAPER)
        # No URLs: a figure contains its own data.
        svg = vl_convert.vegalite_to_svg(spec, config=config, allowed_base_urls=[])
        png = vl_convert.vegalite_to_png(spec, config=config, scale=_SCALE, allowed_base_urls=[])
        for suffix, content in (("svg", svg.encode()), ("png", png)):
            path = folder / f"{figure.id}.{suffix}"
            write_atomically(path, content)
            paths.append(path)
    return paths
