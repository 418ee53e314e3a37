"""Checkpoints beside their baseline: what is compared, the share of the lost skill, and what is missing."""

import json

import numpy as np
import pytest
from recovered_model import with_recovered

from glu_lib.analysis import conclude
from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.items import Items
from glu_lib.analysis.recovered import has_widths_of
from glu_lib.analysis.recovered_notes import missing_beside
from glu_lib.analysis.recovered_share import NO_CONTROLS, NO_SKILL, NOTHING_LOST, recovered_share
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED

HOW = {"resamples": 2000, "seed": 0}


def items(answers, blind=(), **controls):
    """A task of right and wrong answers, with the terms of one control."""
    count = len(answers)
    known = {"longest": blind} if len(blind) else {}
    return Items(
        case="t",
        metric="acc",
        aggregation=Aggregation.RATIO,
        keys=tuple(("t", place, "none") for place in range(count)),
        hashes=("",) * count,
        terms=terms(answers),
        subtasks=np.zeros(count, dtype=int),
        weights=np.array([float(count)]),
        controls={name: terms(values)[None] for name, values in (known | controls).items()},
    )


def terms(answers):
    return np.column_stack([np.array(answers, dtype=float), np.ones(len(answers))])


RIGHT = np.ones(200)
BLIND = np.arange(200) % 4 == 0
PRUNED = np.arange(200) % 2 == 0  # half of the items; of them the blind answer has half
HALF_WAY = PRUNED | (np.arange(200) % 4 == 1)


def share(unpruned, pruned, checkpoint, *, higher_is_better=True):
    return recovered_share(unpruned, pruned, checkpoint, higher_is_better=higher_is_better, **HOW)


def test_the_share_is_what_came_back_of_what_was_lost():
    found = share(items(RIGHT, BLIND), items(PRUNED, BLIND), items(HALF_WAY, BLIND))
    # Scores 1, 0.5 and 0.75; with one blind score the share is (0.75 − 0.5) / (1 − 0.5).
    assert found.value == pytest.approx(0.5)
    # Of n lost items a share s came back: its standard error is about sqrt(s (1 − s) / n), n = 100.
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(0.25 / 100), rel=0.1)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize(("checkpoint", "value"), [(PRUNED, 0), (RIGHT, 1)])
def test_as_pruned_is_0_and_as_unpruned_is_1(checkpoint, value):
    found = share(items(RIGHT, BLIND), items(PRUNED, BLIND), items(checkpoint, BLIND))
    assert (found.value, found.low, found.high) == (value, value, value)


def test_blind_scores_of_the_levels_may_differ():
    always = items(RIGHT, BLIND, shuffle=BLIND), items(PRUNED, BLIND, shuffle=PRUNED)
    found = share(*always, items(HALF_WAY, BLIND, shuffle=BLIND))
    # The pruned level is as good as its own blind answer, so its skill is 0; the checkpoint's is (0.75 − 0.25) / 0.75.
    assert found.value == pytest.approx(0.5 / 0.75)


def test_controls_that_not_all_have_are_not_used():
    found = share(items(RIGHT, BLIND), items(PRUNED, BLIND, other=PRUNED), items(HALF_WAY, BLIND))
    assert found.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("unpruned", "pruned", "reason"),
    [
        (items(RIGHT, BLIND), items(RIGHT, BLIND), NOTHING_LOST),
        (items(PRUNED, BLIND), items(RIGHT, BLIND), NOTHING_LOST),
        (items(RIGHT, BLIND), items([0, 0, *RIGHT[2:]], BLIND), NOTHING_LOST),  # by chance
        (items(RIGHT), items(PRUNED), NO_CONTROLS),
        (items(BLIND, BLIND), items(PRUNED, BLIND), NO_SKILL),
    ],
)
def test_where_nothing_is_known_to_be_lost_there_is_no_share(unpruned, pruned, reason):
    found = share(unpruned, pruned, items(HALF_WAY, BLIND))
    assert (found.value, found.low, found.high, found.reason) == (None, None, None, reason)


def test_other_items_and_few_items_have_no_share():
    found = share(items(RIGHT, BLIND), items(PRUNED, BLIND), items(HALF_WAY[1:], BLIND[1:]))
    assert "1 items are not in both" in found.reason
    few = [items(found[:10], BLIND[:10]) for found in (RIGHT, PRUNED, HALF_WAY)]
    assert "needs 20" in share(*few).reason


TASKS = ("facts", "narrative", "lastword")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """nano at p0, p40 and p60; the checkpoint has p40's widths and the answers of p20."""
    return with_recovered(tmp_path_factory.mktemp("recovered"), TASKS, ("p0", "p40", "p60"), scores="p20")


@pytest.fixture(scope="module")
def concluded(folder):
    return conclude(folder, remember=True)


def headline(found, case):
    (row,) = [row for row in found.rows if row["case"] == case and row["is_headline"]]
    return row


def test_a_checkpoint_stands_beside_p0_and_the_level_of_its_widths(concluded):
    found = [(item.beside.task, item.beside.model, item.level, item.beside.other_model) for item in concluded.recovered]
    assert sorted(found) == sorted((task, "small", level, "nano") for task in TASKS for level in ("p0", "p40"))
    assert concluded.not_beside == ()


def test_the_test_against_p0_is_that_of_a_level(concluded, tmp_path):
    levels = conclude(with_recovered(tmp_path, TASKS, ("p0", "p20"), scores="p20"))
    names = ("delta", "delta_low", "delta_high", "p", "pairs", "baseline", "relative_delta", "detectable")
    for task in TASKS:
        mine, level = headline(concluded, f"small-p0-{task}"), headline(levels, f"nano-p20-{task}")
        # Value − baseline here, baseline + delta there: the last digits may differ.
        assert [mine[name] for name in names] == pytest.approx([level[name] for name in names], rel=1e-9), task
        assert mine["test"] == level["test"]
        assert mine["skill"] == pytest.approx(level["skill"])
        assert mine["skill_low"] == pytest.approx(level["skill_low"])


def test_p_is_adjusted_over_all_comparisons_of_the_checkpoint(concluded):
    p_values = sorted(item.beside.p for item in concluded.recovered)
    assert len(p_values) == 6
    assert min(item.beside.p_holm for item in concluded.recovered) == pytest.approx(min(1, 6 * p_values[0]))
    assert headline(concluded, "nano-p40-facts")["p_holm"] is not None


def test_the_share_in_the_table_is_that_of_the_skills(concluded):
    for task in TASKS:
        mine, level = headline(concluded, f"small-p0-{task}"), headline(concluded, f"nano-p40-{task}")
        assert mine["recovered"] == pytest.approx((mine["skill"] - level["skill"]) / (1 - level["skill"])), task
        assert mine["recovered_low"] < mine["recovered"] < mine["recovered_high"]
        assert 0 < mine["recovered"] < 1
        assert (mine["baseline_model"], mine["baseline_level"], mine["percent"]) == ("nano", "p40", 0)
    assert all(headline(concluded, f"nano-p40-{task}")["recovered"] is None for task in TASKS)
    assert {"baseline_model", "baseline_level", "recovered", "recovered_low", "recovered_high"} <= set(COLUMNS)


def test_the_levels_of_the_baseline_are_as_without_the_checkpoint(concluded, tmp_path):
    alone = conclude(
        with_recovered(tmp_path, TASKS, ("p0", "p40", "p60"), scores="p20", changes={"case": {"baseline": None}})
    )
    for row in concluded.rows:
        if row["model"] == "nano":
            assert row == next(other for other in alone.rows if other["record"] == row["record"] and same(row, other))


def same(row, other):
    return (row["metric"], row["filter"], row["task"]) == (other["metric"], other["filter"], other["task"])


def test_they_are_no_models_of_one_size_besides(concluded):
    assert concluded.same_size == ()


def test_saved_comparisons_are_the_same_and_broken_ones_are_made_again(folder, concluded):
    saved = folder / ".significance.json"
    assert conclude(folder).recovered == concluded.recovered
    text = saved.read_text()
    assert '"other_model": "nano"' in text
    for broken in ('"other_model": "else"', '"other_model": 5'):
        saved.write_text(text.replace('"other_model": "nano"', broken))
        assert conclude(folder).recovered == concluded.recovered


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"environment": {"dtype": "bfloat16"}}, "small-p0-facts: dtype bfloat16, nano-p0-facts has float32"),
        ({"done_key": {"seed": 7}}, "small-p0-facts: seed 7, nano-p0-facts has 1234"),
        ({"done_key": {"few-shot": 5}, "score": {"num_fewshot": 5}}, "small-p0-facts: few-shot 5, nano-p0-facts has 0"),
    ],
)
def test_other_settings_are_named_and_nothing_is_compared(tmp_path, changes, said):
    found = conclude(with_recovered(tmp_path, ["facts"], ("p0", "p40"), scores="p20", changes=changes))
    assert found.recovered[0].beside.reason == f"{said}; run both with the same settings"
    row = headline(found, "small-p0-facts")
    names = ("baseline", "delta", "p", "p_holm", "test", "skill", "skill_low", "recovered")
    assert [row[name] for name in names] == [None] * len(names)


def rows_of(root, levels, changes=None, tasks=("facts", "lastword")):
    return conclude(with_recovered(root, tasks, levels, scores="p20", changes=changes)).rows


def test_a_missing_level_has_a_command_that_measures_it(tmp_path):
    (line,) = missing_beside(rows_of(tmp_path, ("p0", "p60")))
    assert line == (
        "small: nano p40 has no record of facts, lastword, to be compared with; measure it: "
        'pytest -k "nano and p40 and (facts or lastword)"'
    )


def test_a_missing_p0_has_one_too(tmp_path):
    (line,) = missing_beside(rows_of(tmp_path, ("p40",), tasks=["facts"]))
    assert line.endswith('measure it: pytest -k "nano and p0 and facts"')


@pytest.mark.parametrize(
    ("width", "command"),
    [
        (308, 'pytest -k "nano and p40 and facts"'),  # found by its width
        (282, 'pytest --level 45 -k "nano and p45 and facts"'),
        (301, 'pytest --level 2.351563x -k "nano and r2.351563x and facts"'),
    ],
)
def test_without_a_named_level_the_width_says_which_one(tmp_path, width, command):
    changes = {"case": {"baseline_level": None}, "pruning": {"width": width, "expansion_ratio": width / 128}}
    (line,) = missing_beside(rows_of(tmp_path, ("p0",), changes, tasks=["facts"]))
    assert line.endswith(f"measure it: {command}")


def test_a_checkpoint_of_the_full_width_needs_no_level(tmp_path):
    changes = {"case": {"baseline_level": None}, "pruning": {"width": 512, "expansion_ratio": 4.0}}
    assert missing_beside(rows_of(tmp_path, ("p0",), changes)) == []


@pytest.mark.parametrize("level", ["$(rm)", "p", "p4000"])
def test_a_level_from_anywhere_enters_no_command(tmp_path, level):
    assert missing_beside(rows_of(tmp_path, ("p0",), {"case": {"baseline_level": level}})) == []


def test_a_baseline_from_anywhere_enters_no_command(tmp_path):
    lines = missing_beside(rows_of(tmp_path, ("p0",), {"case": {"baseline": "a; rm"}}))
    assert lines
    assert all("pytest" not in line for line in lines)


def test_limits_and_subsets_stand_in_the_command(tmp_path):
    limited = {"done_key": {"limit": 100}}
    (line,) = [line for line in missing_beside(rows_of(tmp_path, ("p0",), limited, tasks=["facts"])) if "p40" in line]
    assert line.endswith('pytest -k "nano and p40 and facts" --limit 100')


@pytest.mark.parametrize(
    ("mine", "theirs", "is_same"),
    [
        ((24, 40), (24, 40), True),
        ((24, 40), (40, 24), False),  # of one mean
        ((), (24, 40), True),  # an early record: by width, ratio and parameters
    ],
)
def test_widths_are_compared_layer_by_layer(mine, theirs, is_same):
    shared = {"expansion_ratio": 2.0, "width": 24, "parameters": 1000}
    assert has_widths_of(shared | {"widths": mine}, shared | {"widths": theirs}) is is_same
    assert not has_widths_of(shared | {"widths": mine}, shared | {"widths": theirs, "expansion_ratio": 1.0, "width": 1})


def test_the_defaults_are_those_of_all_comparisons(folder):
    found = json.loads((folder / ".significance.json").read_text())
    assert (RESAMPLES, RESAMPLING_SEED) == (10_000, 0)
    assert found
