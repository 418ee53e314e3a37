import json
import re
import shutil
from pathlib import Path

import pytest
from committed import concluded

from glu_lib.analysis import conclude
from glu_lib.analysis.flips import TaskFlips, flips
from glu_lib.analysis.item_texts import Item
from glu_lib.report import report_data, write_report
from glu_lib.report.explorer import render_items
from glu_lib.results.store import Store
from glu_lib.study import STUDY

NANO = Path(__file__).parents[3] / "results/measured/nano"
MOST_BYTES = 5_000_000  # of the whole page

HOSTILE = "</script><script>window.hacked=true</script><img src=x onerror=window.hacked=true>"


def item(number, right, text="words"):
    return Item(
        name=f"t {number}", target="0", prompt=text, left_out=0, options=(), answers=(text, "b", "c"), right=right
    )


def task(items, name="t", **more):
    counts = [
        tuple(sum((found.right[0], found.right[level]) == kind for found in items) for level in range(3))
        for kind in ((False, True), (True, False))
    ]
    levels = ((0, 4.0), (20, 3.2), (40, 2.4))
    fields = {"gained": counts[0], "lost": counts[1], "items": tuple(items)} | more
    return TaskFlips(model="m", limit=None, task=name, metric="acc", levels=levels, **fields)


def many(count, text="words" * 20):
    """Items of which each is lost at p40, and every tenth at p20."""
    return [item(number, (True, number % 10 != 0, False), text) for number in range(count)]


def data(page):
    found = re.search(r'<script type="application/json" id="items-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def test_texts_cannot_end_the_script_that_holds_them():
    page = render_items([task([item(0, (True, True, False), HOSTILE)], HOSTILE, problem=HOSTILE)], title=HOSTILE)
    assert HOSTILE not in page
    assert "<img" not in page
    (found,) = data(page)
    assert found["items"][0]["q"] == HOSTILE
    assert found["items"][0]["a"] == [HOSTILE, "b", "c"]
    assert found["name"] == f"m: {HOSTILE}"


def test_the_page_needs_no_network_and_no_eval():
    page = render_items([task(many(3))])
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page
    assert "innerHTML" not in page
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == {"#main", "index.html", "index.html#scores"}


@pytest.mark.parametrize("text", ["\ud800", "\u2028\x00\x1b[31m", "größer 漢字 😀"])
def test_any_text_can_be_written(text):
    page = render_items([task([item(0, (True, True, False), text)])])
    page.encode()
    assert data(page)[0]["items"][0]["q"] == text


def test_what_fits_is_complete():
    (found,) = data(render_items([task(many(100))]))
    assert len(found["items"]) == 100
    assert found["left"] == 0
    assert found["items"][0]["r"] == "100"
    assert found["items"][1]["r"] == "110"


def test_what_does_not_fit_is_left_out_in_equal_shares_and_counted():
    most = 20_000
    large, small = task(many(1000), "large"), task(many(20), "small")
    page = render_items([large, small], most_bytes=most)
    first, second = data(page)
    kept = sum(len(json.dumps(found)) for found in first["items"] + second["items"])
    assert most / 2 < kept <= most * 1.1  # json.dumps adds blanks
    lost = [[sum(one["r"][level] == "0" for one in found["items"]) for level in (1, 2)] for found in (first, second)]
    assert 20 <= min(lost[0]) < 100  # each level keeps as many as the small task's p40, which is complete
    assert lost[1] == [2, 20]
    assert second["left"] == 0
    assert first["left"] == 1100 - sum(lost[0])
    assert '+0</span> <span class="lost">−1000' in page  # the overview counts what is left out, too


def test_nothing_fits_into_nothing():
    (found,) = data(render_items([task(many(5))], most_bytes=10))
    assert found["items"] == []
    assert found["left"] == 6


def test_reasons_are_given_once_with_their_tasks():
    page = render_items([task(many(1), name, problem="no prompts") for name in ("a", "b")])
    assert page.count("no prompts") == 1
    assert "m: a, m: b: no prompts." in page


def test_all_flips_of_the_embedded_model_fit():
    found = list(flips(concluded("nano").rows, Store(NANO)))
    page = render_items(found)
    assert len(page.encode()) < MOST_BYTES
    shown = data(page)
    assert len(shown) == 7
    assert {len(task["levels"]) for task in shown} == {7}
    assert sum(task["left"] for task in shown) == 0
    assert sum(len(task["items"]) for task in shown) > 1500


def test_the_explorer_stands_beside_the_report_as_long_as_there_are_items(tmp_path):
    for level in ("p0", "p60"):
        for kind, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
            target = tmp_path / kind / "nano" / level
            target.mkdir(parents=True)
            shutil.copy(NANO / kind / "nano" / level / f"nano-{level}-facts.{ending}", target)
    page, items = write_report(tmp_path, report_data(conclude(tmp_path), STUDY), with_files=False)
    assert items == tmp_path / "report/items.html"
    assert 'href="items.html"' in page.read_text()
    shutil.rmtree(tmp_path / "samples")
    (page,) = write_report(tmp_path, report_data(conclude(tmp_path), STUDY), with_files=False)
    assert 'href="items.html"' not in page.read_text()
    assert not items.exists()
