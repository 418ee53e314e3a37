"""Which items a run scores: the file of samples, the spread, and the names of their records."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import SettingsError
from glu_lib.results.address import RecordId
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.items import ItemChoice, Items, LimitFrom, SampleFile, spread
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings

TASKS = STUDY.tasks
FACTS = Case(STUDY.models["nano"], Pruning(40), TASKS["facts"])


@pytest.fixture
def read(tmp_path):
    def read_text(text, name="hard.json"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return SampleFile.read(path, TASKS)

    return read_text


def test_names_are_lm_evals_or_the_studys_and_indices_are_in_the_data_sets_order(read):
    found = read({"piqa": [7, 0], "facts": [3], "nano_sums": [2], "mmlu_anatomy": [1, 5, 2], "ifeval": [9]})
    assert found.of(TASKS["piqa"]) == (("piqa", (0, 7)),)
    assert found.of(TASKS["facts"]) == (("nano_facts", (3,)),)
    assert found.of(TASKS["sums"]) == (("nano_sums", (2,)),)
    assert found.of(TASKS["mmlu"]) == (("mmlu_anatomy", (1, 2, 5)),)
    assert found.of(TASKS["ifeval"]) == found.of(TASKS["ifeval_chat"]) == (("ifeval", (9,)),)
    assert found.of(TASKS["boolq"]) == ()
    assert (found.key, found.most) == ("hard", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not readable JSON (Expecting value: line 1 column 2 (char 1)); give a file as for lm-eval's --samples"),
        ("[1]", 'must be an object of tasks with their items, such as {"piqa": [0, 7, 12]}'),
        ("{}", 'must be an object of tasks with their items, such as {"piqa": [0, 7, 12]}'),
        (
            {"piqaa": [0]},
            "'piqaa' is no task of the study; name tasks or subtasks as lm-eval does, such as 'nano_facts'",
        ),
        ({"piqa": []}, "'piqa' has '[]'; it must have a list of items, such as [0, 7]"),
        ({"piqa": 3}, "'piqa' has '3'; it must have a list of items, such as [0, 7]"),
        ({"piqa": [-1]}, "'piqa' lists '-1'; items are whole numbers from 0"),
        ({"piqa": [True]}, "'piqa' lists 'True'; items are whole numbers from 0"),
        ({"piqa": [1.5]}, "'piqa' lists '1.5'; items are whole numbers from 0"),
        ({"piqa": [3, 3]}, "'piqa' lists an item twice; list each once"),
    ],
)
def test_a_wrong_file_is_one_line(read, tmp_path, text, message):
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert str(caught.value) == f"--samples {tmp_path / 'hard.json'}: {message}"


def test_the_name_of_the_file_names_the_records(read, tmp_path):
    with pytest.raises(SettingsError, match="must be called NAME.json, NAME of at most 30 lower-case letters"):
        read({"piqa": [0]}, "Hard.json")
    with pytest.raises(SettingsError, match="not readable JSON .*No such file"):
        SampleFile.read(tmp_path / "none.json", TASKS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"limit": 8, "samples": SampleFile("a", (), 1)},
            "--limit 8 and --samples both choose the items; give only one",
        ),
        (
            {"limit_from": LimitFrom.SPREAD},
            "--limit-from spread: says where --limit takes its items from; add --limit N",
        ),
    ],
)
def test_choices_that_contradict_each_other_are_one_line(options, message):
    with pytest.raises(SettingsError, match=message):
        Settings(**options)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_spread_covers_the_whole_set_in_equal_steps(count, limit):
    found = spread(count, limit)
    assert len(found) == len(set(found)) == min(count, limit)
    assert found[0] == 0
    steps = {after - before for before, after in zip(found, (*found[1:], count), strict=True)}
    assert max(steps) - min(steps) <= 1


def test_only_tasks_are_spread_and_only_named_tasks_are_chosen(read):
    scan = STUDY.scan
    spread_out = ItemChoice(8, LimitFrom.SPREAD)
    assert spread_out.of(TASKS["piqa"]) == Items(8, "spread")
    assert spread_out.of(scan) == Items(8)
    chosen = ItemChoice(samples=read({"piqa": [7, 0]}))
    assert chosen.of(TASKS["piqa"]) == Items(2, "samples_hard", (("piqa", (0, 7)),))
    assert chosen.of(TASKS["boolq"]) == chosen.of(scan) == Items()


def test_each_choice_has_records_of_its_own(read):
    choices = [ItemChoice(), ItemChoice(8), ItemChoice(8, LimitFrom.SPREAD), ItemChoice(samples=read({"facts": [1]}))]
    names = [RecordId.of(FACTS, choice).stem.removeprefix(FACTS.id) for choice in choices]
    assert names == ["", "-limit8", "-limit8spread", "-samples_hard"]
    bare = replace(FACTS, subject="architecture")
    assert {RecordId.of(bare, choice).stem for choice in choices} == {bare.id}


def test_the_digest_is_of_the_tasks_own_items(read):
    first, more = read({"facts": [1]}), read({"facts": [1], "sums": [2, 3]})
    digests = [ItemChoice(samples=found).of(TASKS["facts"]).digest for found in (first, more)]
    assert digests[0] == digests[1]
    assert digests[0].startswith("samples_hard ")
    assert ItemChoice(samples=read({"facts": [2]})).of(TASKS["facts"]).digest != digests[0]
