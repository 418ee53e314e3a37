"""Renders the report as one HTML page that needs no network: findings, tables, figures and missing cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from glu_lib.analysis import headline_tables, workload_tables
from glu_lib.analysis.headline import main_tables
from glu_lib.analysis.model_sizes import model_sizes
from glu_lib.analysis.significance import ALPHA
from glu_lib.report import number
from glu_lib.report.contents import ReportData
from glu_lib.report.figures import Figure, Section, figures_of
from glu_lib.report.figures.theme import PAPER, SCREEN, theme
from glu_lib.report.findings import Finding, findings
from glu_lib.report.listings import (
    alignment_listing,
    answers_listing,
    beside_listing,
    blind_listing,
    correlation_listing,
    form_listing,
    restated_listing,
)
from glu_lib.report.random_floor import random_listing, verdict_listing
from glu_lib.report.recovered import recovered_listing
from glu_lib.report.same_size import same_size_listing, size_score_listing
from glu_lib.report.scan_table import SCAN_LEGEND, scan_parts
from glu_lib.report.serving_table import serving_listings
from glu_lib.report.size_table import size_listing, size_notes
from glu_lib.report.wide import wide_table
from glu_lib.results.collapse import LIMIT_TEXT

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = "templates"


def render_page(data: ReportData, figures: Sequence[Figure] | None = None, *, has_items: bool = False) -> str:
    """The HTML of the page; it embeds Vega, which draws the figures.

    Names and messages cannot inject markup: the template escapes them, and the figures' data cannot close their
    script element.

    Args:
        data: the data to show.
        figures: the figures of `data` if they exist already; None builds them.
        has_items: whether the item explorer stands beside the page, which then links to it.
    """
    drawn = figures_of(data) if figures is None else figures
    contents = _contents(data, drawn) | _parts(drawn) | {"has_items": has_items}
    return page_environment().get_template("report.html.j2").render(**contents)


def page_environment() -> jinja2.Environment:
    """The environment of the templates: it escapes every text, and refuses names without a value and NaN in JSON."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"plain": number.plain}
    return environment


def page_style(*names: str) -> str:
    """Style sheets of the templates as one."""
    return "".join(map(_template, names))


def page_script(*names: str) -> str:
    """Scripts of the templates as one, which cannot close its own element."""
    return _inline("".join(map(_template, names)))


def _contents(data: ReportData, figures: Sequence[Figure]) -> dict[str, Any]:
    tables = headline_tables(data.rows)
    main = main_tables(tables)
    return {
        "data": data,
        "findings": _by_model(findings(data, tables)),
        "tables": [wide_table(table, is_main=table in main) for table in tables],
        "sizes": [(found, list(size_notes(table))) for table in tables if (found := size_listing(table)) is not None],
        "has_collapsed": any(row.get("is_collapsed") and row["is_headline"] for row in data.rows),
        "has_blind": any(row.get("blind") is not None for row in data.rows),
        "has_skill": any(row.get("skill") is not None for row in data.rows),
        "workloads": [wide_table(table) for table in workload_tables(data.rows)],
        "figures": {section.value: [figure for figure in figures if figure.section is section] for section in Section},
        "scans": [scan_parts(scan) for scan in data.scans],
        "scan_legend": SCAN_LEGEND,
        "correlations": correlation_listing(data.correlations),
        "verdicts": verdict_listing(data.against_random),
        "random": random_listing(data.against_random),
        "size_scores": size_score_listing(model_sizes(data.rows)),
        "same_size": same_size_listing(data.same_size),
        "recovered": recovered_listing(data.recovered),
        "beside": beside_listing(data.beside),
        "blind": blind_listing(data.beside_blind),
        "alignment": alignment_listing(data.aligned_pairs),
        "serving": list(serving_listings(data.serving)),
        "answers": answers_listing(data.correct_answers),
        "forms": form_listing(data.rows),
        "restated": restated_listing(data.restated),
        "tests": sorted({row["test"] for row in data.rows if row.get("test")}),
        "qualities": sorted({row["energy_quality"] for row in data.rows if row.get("energy_quality")}),
        "is_limited": any(row.get("limit") for row in data.rows),
        "alpha": ALPHA,
        "limit": LIMIT_TEXT,
    }


def _parts(figures: Sequence[Figure]) -> dict[str, Any]:
    """The embedded parts of the page: style sheet, scripts, and the figures as JSON."""
    from markupsafe import Markup

    return {
        "style": Markup(page_style("report.css")),
        "script": Markup(page_script("theme.js", "report.js")),
        "bundle": Markup(_bundle() if figures else ""),
        "payload": {
            "figures": {figure.id: {**figure.spec, "description": figure.alt} for figure in figures},
            "titles": {figure.id: figure.title for figure in figures},
            "screen": theme(SCREEN),
            "paper": theme(PAPER),
        },
    }


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script from the vl-convert package; nothing is downloaded."""
    import vl_convert

    return _inline(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _inline(script: str) -> str:
    """Escape `</script` and `<!--`, so that the script cannot close its own element.

    Both occur only inside its strings and patterns, where the backslash is harmless.
    """
    return re.sub(r"<(/script|!--)", r"<\\\1", script, flags=re.IGNORECASE)


def _template(name: str) -> str:
    return resources.files("glu_lib.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _by_model(found: Iterable[Finding]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for finding in found:
        groups.setdefault(finding.about, []).append(finding.text.replace(" %", "\N{NO-BREAK SPACE}%"))
    return groups
