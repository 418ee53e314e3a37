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
        (
            SCORE,
            ("kind",),
            "other",
            "kind 'other', not one of accuracy, energy, serving, architecture, layers; run the case again",
        ),
        (
            SCORE,
            ("kind",),
            ["x"],
            "kind ['x'], not one of accuracy, energy, serving, architecture, layers; run the case again",
        ),
        (SCORE, ("case", "model"), "a\nb", "case.model is 'a\\nb', not a text of one line; run the case again"),
        (SCORE, ("case", "model"), None, "case.model is None, not a text of one line; run the case again"),
        (SCORE, ("case", "percent"), 40.5, "case.percent is 40.5, not a whole number; run the case again"),
        (
            SCORE,
            ("score", "headline", "chance"),
            -1,
            "score.headline.chance is -1, not a share from 0 to 1; run the case again",
        ),
        (
            SCORE,
            ("case", "percent"),
            2**63,
            "case.percent is 9223372036854775808, not a percentage from 0 to 100; run the case again",
        ),
        (
            SCORE,
            ("pruning", "width"),
            10**400,
            f"pruning.width is 1{'0' * 58}…; it must be at most {2**62}; run the case",
        ),
        (SCORE, ("score", "metrics"), [], "the record has no headline figure; run the case again"),
        (
            SCORE,
            ("score", "headline", "higher_is_better"),
            1,
            "score.headline.higher_is_better is 1, not true or false; run the case",
        ),
        (
            SCORE,
            ("environment", "versions"),
            {"torch": 3},
            "environment.versions.torch is 3, not a text of one line; run the case again",
        ),
        (SCORE, ("environment",), [], "environment is [], not a table; run the case again"),
        (SCORE, ("timing",), {}, "timing.load_s is missing (and 2 more); run the case again"),
        (ENERGY, ("repeats", 0, "seed"), "x", "repeats[0].seed is 'x', not a count; run the case again"),
        (ENERGY, ("repeats", 0, "passes"), 0, "repeats[0].passes is 0; it must be at least 1; run the case again"),
        (
            ENERGY,
            ("profile", "tokens_per_s", "mean"),
            "fast",
            "profile.tokens_per_s.mean is 'fast', not a finite number; run",
        ),
        (ENERGY, ("weights",), None, "weights is None, not a text of one line; run the case again"),
        (ENERGY, ("weights",), 3, "weights is 3, not a text of one line; run the case again"),
        (
            SCORE,
            ("environment", "versions", "torch"),
            "=1+1",
            "environment.versions.torch is '=1+1', which spreadsheets",
        ),
        (SCORE, ("case", "id"), "\ud800", "case.id is '\\ud800', not a text of one line; run the case again"),
        (SCORE, ("done_key", "limit"), True, "done_key.limit is True, not a count; run the case again"),
        (SCORE, ("pruning", "expansion_ratio"), 1e308, "pruning.expansion_ratio is 1e+308, not a finite number; run"),
        (SCORE, ("done_key", "chat template"), "ab", "nano-p40-facts: scored with the chat template, but the task's"),
        (ENERGY, ("case", "control"), "nomlp", "a control of kind energy, but controls have scores only; delete it"),
        (ENERGY, ("runtime",), {}, "runtime.batch_size is missing (and 1 more); run the case again"),
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
