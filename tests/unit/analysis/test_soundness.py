import json
from pathlib import Path

import pytest

from glu_lib.analysis import consolidate

MEASURED = Path(__file__).resolve().parents[3] / "results/measured"
SCORE = MEASURED / "nano/individual_files/nano/p40/nano-p40-facts.json"
ENERGY = MEASURED / "cpu_alignment/individual_files/quarter/p40/quarter-p40-decode_b1.json"


@pytest.mark.parametrize(
    ("template", "place", "value", "message"),
    [
        (SCORE, ("kind",), "other", "kind 'other', not one of accuracy, energy, architecture, layers; run"),
        (SCORE, ("kind",), ["x"], "kind ['x'], not one of accuracy, energy, architecture, layers; run"),
        (SCORE, ("case", "model"), "a\nb", "model is 'a\\nb', not a text of one line; run the case again"),
        (SCORE, ("case", "model"), None, "model is missing; run the case again"),
        (SCORE, ("case", "percent"), 40.5, "percent is 40.5, not a count; run the case again"),
        (SCORE, ("score", "headline", "chance"), -1, "chance is -1, not a share from 0 to 1; run the case again"),
        (SCORE, ("case", "percent"), 2**63, "percent is 9223372036854775808, not a count; run the case again"),
        (SCORE, ("pruning", "width"), 10**400, f"width is 1{'0' * 58}…, not a finite number; run the case"),
        (SCORE, ("score", "metrics"), [], "the record has no headline figure; run the case again"),
        (SCORE, ("score", "headline", "higher_is_better"), 1, "higher_is_better is 1, not true or false; run the case"),
        (SCORE, ("environment", "versions"), {"torch": 3}, "version is 3, not a text of one line; run the case again"),
        (SCORE, ("environment",), [], "the record is malformed ('list' object has no attribute 'get'); run"),
        (SCORE, ("timing",), {}, "the record lacks 'started_at'; run the case again with this version"),
        (ENERGY, ("repeats", 0, "seed"), "x", "a repeat's seed is 'x', not a number; run the case again"),
        (ENERGY, ("repeats", 0, "passes"), 0, "the record is malformed (float division by zero); run"),
        (ENERGY, ("profile", "tokens_per_s", "mean"), "fast", "tokens_per_s is 'fast', not a finite number; run"),
        (ENERGY, ("weights",), None, "weights is missing; run the case again"),
        (ENERGY, ("weights",), 3, "weights is 3, not a text of one line; run the case again"),
        (ENERGY, ("runtime",), {}, "the record lacks 'threads'; run the case again with this version"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, template, place, value, message):
    record = json.loads(template.read_text())
    record.pop("sha256", None)
    target = record
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = value
    path = tmp_path / "individual_files/a/p0" / template.name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    found = consolidate(tmp_path)
    assert found.rows == ()
    assert [line.startswith(f"{path}: {message}") for line in found.problems] == [True], found.problems


@pytest.mark.parametrize("template", [SCORE, ENERGY])
def test_a_sound_record_enters_the_tables(tmp_path, template):
    path = tmp_path / "individual_files/a/p0" / template.name
    path.parent.mkdir(parents=True)
    path.write_text(template.read_text())
    assert consolidate(tmp_path).problems == ()
