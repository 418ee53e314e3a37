import dataclasses
from types import SimpleNamespace

import pytest

from glu_lib.errors import StudyError
from glu_lib.evaluation import TaskLibrary
from glu_lib.study import STUDY, Task
from glu_lib.study.schema import Metric


@pytest.fixture(scope="module")
def library():
    return TaskLibrary()


@pytest.fixture
def task():
    loaded = TaskLibrary().load(STUDY.tasks["facts"], seed=1)
    (found,) = loaded["tasks"].values()
    return found


def template_of(text):
    """A model's template method, as lm-eval hands it to a task."""
    model = SimpleNamespace(tokenizer=SimpleNamespace(chat_template=text))
    model.apply_chat_template = apply.__get__(model)
    return model.apply_chat_template


def apply(_model, history, add_generation_prompt=True):
    return str(history) + str(add_generation_prompt)


def test_requests_are_built_once_and_come_back_without_answers(task):
    task.build_all_requests(limit=3)
    first = task.instances
    first[0].resps.append((-1.0, True))
    kept = first[0].resps
    first[0].filtered_resps["none"] = (-1.0, True)
    task.build_all_requests(limit=3)
    assert all(a is b for a, b in zip(first, task.instances, strict=True))
    assert first[0].resps == []
    assert first[0].filtered_resps == {}
    assert kept == [(-1.0, True)]  # what lm-eval's samples hold is not touched


@pytest.mark.parametrize(
    "other",
    [
        {"limit": 4},
        {"limit": 3, "apply_chat_template": True, "fewshot_as_multiturn": True, "chat_template": template_of("a")},
        {"limit": 3, "system_instruction": "Be brief."},
    ],
)
def test_other_requests_are_built_anew(task, other):
    task.build_all_requests(limit=3)
    first = task.instances
    task.build_all_requests(**other)
    assert task.instances[0] is not first[0]


def test_the_same_template_of_another_level_builds_nothing(task):
    options = {"limit": 2, "apply_chat_template": True, "fewshot_as_multiturn": True}
    task.build_all_requests(**options, chat_template=template_of("a"))
    first = task.instances
    task.build_all_requests(**options, chat_template=template_of("a"))
    assert task.instances[0] is first[0]
    task.build_all_requests(**options, chat_template=template_of("b"))
    assert task.instances[0] is not first[0]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("nowhere", Metric("acc")), "task nowhere: lm-eval has no task 'nowhere'"),
        (Task("piqa", Metric("accuracy")), "task piqa: lm-eval reports no accuracy; it has acc, acc_norm: correct"),
        (Task("mmlu", Metric("f1")), "task mmlu: lm-eval reports no f1; it has acc: correct"),
    ],
)
def test_what_lm_eval_does_not_know_shows_without_data(library, task, message):
    with pytest.raises(StudyError, match=message):
        library.check_known(task)


def test_every_task_of_the_study_has_its_metric(library):
    for task in STUDY.tasks.values():
        library.check_known(task)


@pytest.mark.parametrize(("key", "tokens"), [("ifeval", 1280), ("gsm8k", 256), ("piqa", None), ("sums", 8)])
def test_the_length_of_answers_is_known_without_data(library, key, tokens):
    found = library.answer_tokens(STUDY.tasks[key], 256)
    assert found == tokens


def prompts(library, seed, *limits):
    few = dataclasses.replace(STUDY.tasks["facts"], num_fewshot=3)
    (task,) = library.load(few, seed=seed)["tasks"].values()
    for limit in limits:
        task.build_all_requests(limit=limit)
    return [instance.args[0] for instance in task.instances]


def test_few_shot_examples_depend_on_the_seed_and_on_nothing_that_ran_before():
    library = TaskLibrary()
    first = prompts(library, 1, 3)
    assert prompts(library, 1, 6)[: len(first)] == first
    assert prompts(library, 1, 6, 3) == first
    assert prompts(library, 2, 3) != first
    assert prompts(library, 1, 3) == first
    assert prompts(TaskLibrary(), 1, 3) == first
