"""Levels that ask for something else than a percentage, in tables and reports: among the others, sorted by width."""

import json
from pathlib import Path

import pytest

from glu_lib.analysis import consolidate, headline_tables
from glu_lib.analysis.conclusions import conclude
from glu_lib.report import markdown_table

NANO = Path(__file__).resolve().parents[3] / "results/measured/nano/individual_files/nano"


@pytest.fixture
def folder(tmp_path):
    """Records of p0, p40 and p60 of `facts`, and a made-up one of 2x (half of the neurons) and of 2.5x."""

    def put(source, percent, width, asked=None):
        record = json.loads((NANO / f"p{source}/nano-p{source}-facts.json").read_text())
        record.pop("sha256")
        level = f"r{asked}" if asked else f"p{percent}"
        record["case"] |= {"id": f"nano-{level}-facts", "level": level, "percent": percent}
        record["case"] |= {"asked": asked} if asked else {}
        record["pruning"] |= {"percent": percent, "width": width, "expansion_ratio": width / 128}
        record["done_key"] |= {"percent": percent} | ({"width": width} if asked else {})
        path = tmp_path / f"individual_files/nano/{level}/nano-{level}-facts.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record))

    put(0, 0, 512)
    put(40, 40, 308)
    put(50, 50, 256)
    put(50, 50.0, 256, "2x")
    put(40, 37.5, 320, "2.5x")
    return tmp_path


def test_they_stand_in_the_same_table_by_width_with_the_words_that_asked(folder):
    (table,) = headline_tables(consolidate(folder).rows)
    assert table.levels == ((0, 4.0), ("2.5x", 2.5), (40, 308 / 128), (50, 2.0), ("2x", 2.0))
    assert table.cells["facts", "2.5x"]["percent"] == 37.5
    # Two levels of one width are two rows, both against the same baseline.
    assert table.cells["facts", 50]["delta"] == table.cells["facts", "2x"]["delta"] != 0
    levels = [line.split(" | ")[0] for line in markdown_table(table).splitlines() if line.startswith("| ")]
    assert levels[2:7] == ["| p0", "| 2.5x", "| p40", "| p50", "| 2x"]


def test_trade_offs_and_correct_answers_name_them(folder):
    found = conclude(folder, remember=False)
    assert [point.level for point in found.trade_offs] == [0, "2.5x", 40, 50, "2x"]
    assert [item.level for item in found.correct_answers] == [0, 40, 50, "2.5x", "2x"]


def test_a_fraction_of_a_percent_needs_the_words_that_asked_for_it(folder):
    path = folder / "individual_files/nano/r2.5x/nano-r2.5x-facts.json"
    record = json.loads(path.read_text())
    del record["case"]["asked"]
    path.write_text(json.dumps(record))
    (problem,) = consolidate(folder).problems
    assert problem == f"{path}: case.percent is 37.5, not a whole number; run the case again"
