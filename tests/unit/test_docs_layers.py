"""The guide to neurons and layers quotes the committed records."""

from pathlib import Path

import pytest
from committed import concluded

from glu_lib.analysis.random_floor import Verdict, level_of, verdict_over_tasks
from glu_lib.report import number
from glu_lib.report.random_floor import verdict_listing

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/guides/neurons-and-layers.md").read_text(encoding="utf-8")


def methods_table():
    """The table of the guide: level, layers, method, a column for each task, and the verdict."""
    found = verdict_listing(concluded("layers_smollm2").against_random)
    tasks = found.columns[4:-1]
    lines = [
        f"| level | pruned layers | method | {' | '.join(tasks)} | against random |",
        "|" + " --- |" * (4 + len(tasks)),
    ]
    for _, place, _, method, *cells, verdict in found.rows:
        level, *words = place.split(", ")
        layers = next((word.removeprefix("layers ") for word in words if word.startswith("layers")), "all")
        lines.append(f"| {level} | {layers} | {method} | {' | '.join(cells)} | {verdict or '–'} |")
    return lines


def test_the_table_of_methods_is_made_from_the_records():
    shown = GUIDE.split("<!-- methods table: from the records -->\n")[1].split("<!-- end of table -->")[0]
    assert shown.strip().splitlines() == methods_table()


def test_what_the_guide_says_of_the_methods_is_so():
    found = {
        (item.percent, item.layers is None, item.method): verdict_over_tasks(
            [other for other in concluded("layers_smollm2").against_random if level_of(other) == level_of(item)]
        )
        for item in concluded("layers_smollm2").against_random
    }
    assert [found[percent, True, "PPM"] for percent in (5, 10)] == [Verdict.WORSE] * 2
    at_ten = [item for item in concluded("layers_smollm2").against_random if item.percent == 10 and not item.layers]
    assert sorted(item.task for item in at_ten if (item.method, item.verdict) == ("PPM", Verdict.WORSE)) == [
        "lambada_openai",
        "piqa",
    ]
    assert [found[percent, False, "PPM"] for percent in (5, 10)] == [Verdict.UNDECIDED] * 2
    assert {found[10, False, method] for method in ("L2", "VOW", "PON")} == {Verdict.WORSE}
    assert {found[percent, is_all, "hybrid"] for percent in (5, 10) for is_all in (True, False)} == {Verdict.BETTER}
    assert {verdict for (percent, _, _), verdict in found.items() if percent == 20} == {Verdict.UNDECIDED}


def scan_table():
    """The table of the guide: what each method removes from layer 0, and the harm of pruning layers."""
    lines = [
        "| method | squared activations removed from layer 0 | layer 0 alone | random in layer 0 | worst other layer "
        "| all layers | recommended layers |",
        "|" + " --- |" * 7,
    ]
    for scan in concluded("layers_smollm2").scans:
        first, worst = scan.layers[0], max(scan.layers[1:], key=lambda layer: layer.harm)
        cells = (
            number.share(first.activation_share),
            number.factor(first.harm),
            number.factor(first.random.mean),
            f"{number.factor(worst.harm)} ({worst.layer})",
            f"{number.factor(scan.last.measured - scan.unpruned)} with {scan.recommended}",
        )
        lines.append(
            f"| {scan.method} | {cells[0]} | {cells[1]} | {cells[2]} | {cells[3]} "
            f"| {number.factor(scan.pruned - scan.unpruned)} | {cells[4]} |"
        )
    return lines


def test_the_table_of_scans_is_made_from_the_records():
    shown = GUIDE.split("<!-- scan table: from the records -->\n")[1].split("<!-- end of table -->")[0]
    assert shown.strip().splitlines() == scan_table()


def test_what_the_guide_says_of_the_scan_is_so():
    scans = {scan.method: scan for scan in concluded("layers_smollm2").scans}
    assert scans["PPM"].recommended == "1-28"
    assert scans["PPM"].layers_run / scans["PPM"].layers_whole == pytest.approx(0.55, abs=0.005)
    assert scans["PPM"].layers_whole == 66 * 30 * scans["PPM"].rows
    assert all(scans[method].layers[0].activation_share > 0.35 for method in ("PPM", "L2"))
    assert all(scans[method].layers[0].activation_share < 0.1 for method in ("PPM_down", "hybrid"))
