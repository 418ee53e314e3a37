"""The part of lm-eval's index that is parsed says the same as the whole."""

from pathlib import Path

import pytest

from glu_lib.measure.tasks import task_index
from glu_lib.measure.tasks.task_index import TaskIndex, folder_manager
from glu_lib.study import STUDY

LM_EVAL_NAMES = sorted(task.lm_eval_name for task in STUDY.tasks.values() if not task.embedded)


def closure(index, name):
    """What an index says of a name and of all its members, by name."""
    found, waiting = {}, [name]
    while waiting:
        asked = waiting.pop()
        if asked in found:
            continue
        entry = index.get(asked)
        found[asked] = entry and (entry.kind.name, entry.yaml_path, entry.cfg)
        if entry is None:
            continue
        if entry.kind.name == "TAG":
            waiting += entry.tags
        members = (entry.cfg or {}).get("task")
        for member in members if isinstance(members, list) else ():
            waiting.append(member if isinstance(member, str) else str(member.get("task") or member.get("group")))
    return found


@pytest.fixture(scope="module")
def own():
    """lm-eval's index as searched, and its complete index."""
    import lm_eval.tasks

    return TaskIndex(Path(lm_eval.tasks.__file__).parent), task_index.complete_manager().task_index


# The last ones have members in other folders, or include files of other folders.
@pytest.mark.parametrize("name", [*LM_EVAL_NAMES, "glue", "openllm", "leaderboard", "spanish_bench", "galician_bench"])
def test_the_search_finds_what_the_complete_index_has(own, name):
    searched, complete = own
    assert closure(searched.entries(name), name) == closure(complete, name)


@pytest.fixture
def folders(tmp_path):
    """A function that writes a file below a folder of tasks."""

    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return write


def test_only_folders_that_mention_the_name_are_parsed(folders, tmp_path):
    folders("a/one.yaml", "task: one\ndataset_path: two\n")  # the other key does not count
    folders("b/two.yaml", "task: two\n")
    assert set(TaskIndex(tmp_path).entries("two")) == {"two"}


@pytest.mark.parametrize(
    "text",
    [
        "tag: mine\ntask: one",
        "tag:\n  - mine\ntask: one",
        "tag: [other, mine]\ntask: one",
        "tag: [\n  other,\n  'mine']\ntask: one",
        "include: ../b/common_yaml\ntask: one",
        "include:\n  - ../b/common_yaml\ntask: one",
    ],
)
def test_a_tag_has_its_tasks_of_all_folders(folders, tmp_path, text):
    folders("a/one.yaml", text)
    folders("b/two.yaml", "include: common_yaml\ntask: two\n")
    folders("b/common_yaml", "tag: mine\n")
    folders("c/group.yaml", "group: all\ntask:\n  - group: inner\n    task: [mine]\n")
    complete = folder_manager(tmp_path).task_index
    assert complete["mine"].tags == {"one", "two"}
    for name in ("mine", "all"):
        found = TaskIndex(tmp_path).entries(name)
        assert found["mine"] == complete["mine"]
        assert closure(found, name) == closure(complete, name)


def test_the_first_definition_counts_whatever_was_asked_before(folders, tmp_path):
    folders("b-c/one.yaml", "task: one\nnum_fewshot: 3\n")
    folders("b/one.yaml", "task: one\nnum_fewshot: 2\n")
    folders("b_c/two.yaml", "group: two\ntask: [one]\n")
    index = TaskIndex(tmp_path)
    index.entries("two")
    assert index.entries("one")["one"] == folder_manager(tmp_path).task_index["one"]


def test_a_group_that_another_name_brought_gets_its_members(folders, tmp_path):
    folders("a/groups.yaml", "group: all\ntask: [one, two]\n")
    folders("b/one.yaml", "task: one\n")
    folders("c/two.yaml", "task: two\n")
    index = TaskIndex(tmp_path)
    assert set(index.entries("one")) == {"one", "all"}
    assert set(index.entries("all")) == {"one", "two", "all"}


def test_a_name_that_is_not_written_out_is_found_in_the_complete_index(folders, tmp_path, monkeypatch):
    folders("a/one.yaml", 'task: "\\x6fne"\n')
    complete = folder_manager(tmp_path)
    monkeypatch.setattr(task_index, "_own_index", lambda: TaskIndex(tmp_path))
    monkeypatch.setattr(task_index, "complete_manager", lambda: complete)
    assert task_index.manager_of("one") is complete
