"""The guide to neurons and layers quotes the committed records."""

from pathlib import Path

from committed import concluded

from glu_lib.analysis.random_floor import Verdict, level_of, verdict_over_tasks
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
    assert [found[percent, False, "PPM"] for percent in (5, 10)] == [Verdict.UNDECIDED] * 2
    assert {found[10, False, method] for method in ("L2", "VOW", "PON")} == {Verdict.WORSE}
    assert {found[percent, is_all, "hybrid"] for percent in (5, 10) for is_all in (True, False)} == {Verdict.BETTER}
    assert {verdict for (percent, _, _), verdict in found.items() if percent == 20} == {Verdict.UNDECIDED}
