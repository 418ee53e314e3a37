import json
import math
import re

import pytest
import vl_convert
from scan_records import random_records, scan_record, scans

from glu_lib.report import markdown_scan, number, record_line, scan_lines
from glu_lib.report.contents import ReportData
from glu_lib.report.figures import Section, figures_of
from glu_lib.report.files import static_spec
from glu_lib.report.findings import findings
from glu_lib.report.page import render_page
from glu_lib.report.scan_findings import scan_sentences
from glu_lib.report.scan_table import scan_notes
from glu_lib.results.records import parse_record

HOSTILE = "</script><script>window.hacked=true</script>|`x`"


def found(*records):
    return scans(records or [scan_record(), *random_records()])


def text_of(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_a_spared_layer_is_explained_and_harms_that_do_not_add_up_are_told():
    assert list(scan_sentences(found()[0])) == [
        "Layer scan at p10, PPM, layer 0: the 10 % of neurons that PPM removes hold 71 % of the squared activations; "
        "pruning it alone multiplies the perplexity by 6.20 (random: 1.10).",
        "Layer scan at p10, PPM: pruning all 16 layers multiplies the perplexity by 12.73, sparing layer 0 by 1.52 "
        "(--layers 1-15).",
        "Layer scan at p10, PPM: the harms of single layers do not add up; for all layers pruned they predict a "
        "perplexity of 94.31, measured is 127.31.",
    ]


def test_a_layer_that_is_not_spared_has_no_sentence_of_its_own():
    (scan,) = found(scan_record(harms={3: 0.1}, spared=()))
    first, *_ = scan_sentences(scan)
    assert first == (
        "Layer scan at p10, PPM: no layer is worth sparing; pruning all 16 layers multiplies the perplexity by 1.51, "
        "pruning layer 3 alone, the most harmful, by 1.11."
    )
    assert "layer 0" not in " ".join(scan_sentences(scan))


def test_sentences_say_what_is_not_known_and_what_is_limited_or_collapsed():
    record = scan_record(limit=1, harms={0: 900.0})
    record["pruning"]["removed"] = None
    first, second = scan_sentences(found(record)[0])
    assert first == (
        "Layer scan at p10, PPM (limited run, 1 row of text), layer 0: pruning it alone multiplies the perplexity by "
        "more than 1e60."
    )
    assert "multiplies the perplexity by more than 1e60, sparing layer 0 by 1.02" in second


def test_the_findings_of_a_report_hold_those_of_the_scans():
    told = findings(ReportData(scans=found()), [])
    assert {finding.about for finding in told} == {"llama1b"}
    assert len(told) == 3


def test_the_line_after_a_case_names_perplexities_the_worst_layer_and_what_to_prune():
    line = "perplexity 10.00 → 127.31, most harmful layer 0 (x6.20), prune 1-15"
    assert record_line(parse_record(scan_record())) == line
    calm = scan_record(harms={}, layers=4, spared=())
    calm["scan"]["pruned"] = calm["scan"]["unpruned"] + 0.004
    assert record_line(parse_record(calm)) == "perplexity 10.00 → 10.04, most harmful layer 0 (x1.00), prune all"


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (0.0, "x1.00"),
        (math.log(6.2), "x6.20"),
        (-7.0, "x0.0009119"),
        (9.0, "x8103"),
        (140.0, "> 1e60"),
        (1e5, "> 1e60"),
    ],
)
def test_factors_have_as_many_digits_as_they_need(harm, text):
    assert number.factor(harm) == text


def test_the_terminal_shows_the_most_harmful_layers_within_its_width():
    lines = scan_lines(found()[0], 80)
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "the 12 most harmful of 16 layers" in text
    assert "x6.20 x1.10 (1.00" in text
    assert "recommended: --layers 1-15 (spares 0)" in text
    assert "120 of 480 layers computed (75 % saved by kept beginnings), 8.0 s" in text
    (short,) = found(scan_record(layers=12))
    assert "most harmful of" not in " ".join(scan_lines(short, 80))


def test_markdown_has_a_row_per_layer_and_per_step():
    text = markdown_scan(found()[0])
    assert "| 0 (spared) | x6.20 | x1.10 (1.00 to 1.21) | x6.20 | 71 % | 300 of 300 |" in text
    assert "| 4 | x1.50 | x1.00 (1.00 to 1.00) | x1.50 | 71 % | 300 of 300 |" in text
    assert "| 0 | – | 94.31 | 127.31 |" in text
    assert "| 1 | 0 | 15.21 | 15.21 |" in text
    assert "\nRecommended: --layers 1-15 (spares 0).\n" in text


def test_notes_say_why_there_is_no_random():
    (alone,) = found(scan_record())
    assert "random: not scanned; run pytest -m layers -k llama1b" in list(scan_notes(alone))
    first, *_ = found(scan_record(), *random_records(dtype="bfloat16"))
    assert "random: not comparable, its scans differ in dtype" in list(scan_notes(first))


def test_there_is_a_figure_of_harms_per_model_and_level_and_one_of_the_steps():
    records = [scan_record(), scan_record("VOW", spared=()), scan_record(percent=20, spared=()), *random_records()]
    figures = {figure.id: figure for figure in figures_of(ReportData(scans=scans(records)))}
    assert list(figures) == ["layers-llama1b-p10", "sparing-llama1b-p10", "layers-llama1b-p20"]
    for figure in figures.values():
        assert figure.section is Section.LAYERS
        assert figure.caption.endswith(".")
        assert figure.alt.endswith(".")
        assert len(figure.caption) < 320
        json.dumps(figure.spec, allow_nan=False)
        vl_convert.vegalite_to_svg(static_spec(figure), allowed_base_urls=[])
    harms = figures["layers-llama1b-p10"]
    rows = [dict(zip(harms.columns, row, strict=True)) for row in harms.rows]
    assert {row["method"] for row in rows} == {"PPM", "VOW", "random (3 seeds)"}
    random = next(row for row in rows if row["method"].startswith("random"))
    assert (random["lowest seed"], random["highest seed"]) == pytest.approx((1.0, 1.21))
    assert "PPM layer 0 (x6.20)" in harms.alt
    assert labels(harms) == ["layer 0", "layer 4"] * 2


def labels(figure):
    """The labels of all points drawn, in order."""
    return re.findall(
        r'"label": "([^"]+)"', json.dumps(figure.spec["datasets" if "datasets" in figure.spec else "data"])
    )


def domains(part):
    """The domains of all logarithmic axes in a specification."""
    if isinstance(part, dict):
        if part.get("type") == "log":
            yield part["domain"]
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from domains(inner)


def test_harm_that_means_nothing_does_not_fill_the_axis():
    (figure,) = figures_of(ReportData(scans=found(scan_record(harms={}, layers=4, spared=()))))
    (low, high) = next(domains(figure.spec))
    assert low < 0.98
    assert high > 1.05
    assert labels(figure) == []
    assert "are named" not in figure.caption


def test_a_collapsed_layer_is_drawn_at_the_edge():
    harms, steps = figures_of(ReportData(scans=found(scan_record(harms={0: 900.0}))))
    rows = [dict(zip(harms.columns, row, strict=True)) for row in harms.rows]
    assert (rows[0]["factor on the perplexity"], rows[0]["collapsed"]) == (None, True)
    for figure in (harms, steps):
        assert "collapsed" in vl_convert.vegalite_to_svg(static_spec(figure), allowed_base_urls=[])


def test_the_page_has_a_section_with_tables_and_folds_a_long_one():
    page = render_page(ReportData(scans=found()))
    text = text_of(page)
    assert '<h2 id="layers">Layers</h2>' in text
    assert 'href="#layers"' in text
    assert "<summary>llama1b p10 PPM: all layers <small>(16 rows)</small></summary>" in text
    assert "x1.10 (1.00 to 1.21)" in text
    assert "Recommended: --layers 1-15 (spares 0)." in text
    assert "multiplies the perplexity by 6.20" in text
    short = text_of(render_page(ReportData(scans=found(scan_record(layers=4)))))
    assert ": all layers" not in short
    assert "llama1b p10 PPM: perplexity with one layer pruned / unpruned" in short
    assert 'id="layers"' not in render_page(ReportData())


def test_hostile_texts_stay_text():
    record = scan_record(HOSTILE, model=HOSTILE, source=HOSTILE)
    record["scan"]["text"] = HOSTILE
    others = random_records(model=HOSTILE, **{HOSTILE: 1})
    chosen = scans([record, *others])
    page = render_page(ReportData(scans=chosen))
    assert HOSTILE not in page
    assert "<script>window" not in page.lower().replace("<script>window.v", "")
    text = markdown_scan(chosen[0])
    assert HOSTILE not in text
    assert "<" not in text
    assert all(line.isprintable() for line in scan_lines(chosen[0], 80))
