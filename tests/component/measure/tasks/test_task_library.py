import dataclasses
import shutil
from types import SimpleNamespace

import pytest

from glu_lib.errors import AccessError, StudyError
from glu_lib.measure.tasks.task_index import complete_manager, manager_of
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.nano import TASKS_DIR
from glu_lib.study import STUDY, PromptFormat, Task
from glu_lib.study.tasks import Metric


@pytest.fixture(scope="module")
def library():
    return TaskLibrary()


@pytest.fixture(scope="module")
def complete():
    """lm-eval's complete index."""
    return complete_manager().task_index


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
        (Task("piqa", Metric("accuracy")), "task piqa: lm-eval does not report accuracy, only acc, acc_norm; correct"),
        (Task("mmlu", Metric("f1")), "task mmlu: lm-eval does not report f1, only acc; correct"),
        (
            Task("gsm8k", Metric("exact_match")),
            "lm-eval reports exact_match with the filters flexible-extract, strict-match, not none; write the metric",
        ),
        (Task("piqa", Metric("acc", "first")), "task piqa: lm-eval reports acc with the filters none, not first"),
        (
            Task("mine", Metric("word_perplexity"), lm_eval_name="wikitext"),
            "task mine: according to lm-eval, a lower word_perplexity is better; set higher_is_better = false",
        ),
        (
            Task("piqa", Metric("acc", higher_is_better=False)),
            "task piqa: according to lm-eval, a higher acc is better; set",
        ),
        (
            Task("glue", Metric("acc")),
            "task glue: lm-eval's glue is a tag of several tasks and has no common score; name",
        ),
        (
            Task("openllm", Metric("acc")),
            "task openllm: lm-eval's group openllm has no group score; name one of its",
        ),
        (
            Task("leaderboard", Metric("exact_match", "flexible-extract")),
            "task leaderboard: lm-eval reports exact_match",
        ),
        (
            Task("mmlu_pro", Metric("acc")),
            "task mmlu_pro: lm-eval does not report acc, only exact_match; correct",
        ),
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


@pytest.fixture
def own_tasks(tmp_path, monkeypatch):
    """A function that writes lm-eval tasks like facts, with other lines in their YAML, where the embedded ones lie."""
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS_DIR, folder)
    monkeypatch.setattr("glu_lib.measure.tasks.task_library.TASKS_DIR", folder)

    def write(*lines):
        path = folder / "nano_facts.yaml"
        names = tuple(line.partition(":")[0] for line in lines)
        kept = [line for line in path.read_text().splitlines() if not line.startswith(names)]
        path.write_text("\n".join([*kept, *lines, ""]))

    return write


def test_few_shot_examples_depend_on_the_seed_and_on_nothing_that_ran_before(own_tasks):
    own_tasks("fewshot_split: test")
    library = TaskLibrary()
    first = prompts(library, 1, 3)
    assert prompts(library, 1, 6)[: len(first)] == first
    assert prompts(library, 1, 6, 3) == first
    assert prompts(library, 2, 3) != first
    assert prompts(library, 1, 3) == first
    assert prompts(TaskLibrary(), 1, 3) == first


@pytest.fixture
def hostile_file(tmp_path, monkeypatch):
    """A task file, in the current folder, whose Python writes a file when lm-eval loads it."""
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'run')!r}, 'w').close()\ndef docs(*args): return args[0]\n"
    )
    (tmp_path / "evil.yaml").write_text("task: evil\ndataset_path: json\nprocess_docs: !function evil.docs\n")
    (tmp_path / "evil").write_text((tmp_path / "evil.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "run").exists()


def test_lm_evals_loader_runs_the_python_of_a_path(tmp_path):
    """Why paths are refused: if this fails one day, the refusal is still right."""
    from lm_eval.tasks import TaskManager

    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\ndef docs(*args): return args[0]\n")
    (tmp_path / "own.yaml").write_text("task: own\ndataset_path: /no/such\nprocess_docs: !function own.docs\n")
    with pytest.raises(Exception, match="/no/such"):
        TaskManager(include_path=str(tmp_path), include_defaults=False).load(str(tmp_path / "own.yaml"))
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["evil", "evil.yaml"])
@pytest.mark.parametrize("embedded", [True, False])
def test_a_task_file_of_the_current_folder_is_not_read(library, hostile_file, name, embedded):
    task = Task("mine", Metric("acc"), lm_eval_name=name, embedded=embedded)
    for look in (library.check_known, lambda task: library.load(task, seed=1)):
        with pytest.raises(
            StudyError, match=f"task mine: lm-eval has no task '{name}'; choose one that `lm_eval ls tasks` lists"
        ):
            look(task)


@pytest.mark.parametrize(
    "name", ["{}/evil.yaml", "{}/evil", "./evil.yaml", "../x", "~/evil.yaml", "mine\n", ".", "a/b", "pi*"]
)
def test_no_path_is_a_task_name(hostile_file, name):
    with pytest.raises(StudyError, match="is not an lm-eval task name \\(paths are not read\\)") as caught:
        Task("mine", Metric("acc"), lm_eval_name=name.format(hostile_file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["humaneval", "mbpp", "humaneval_plus", "cruxeval_input", "longproc_countdown_2k"])
def test_code_that_a_model_wrote_is_not_run(library, monkeypatch, name):
    import evaluate

    def refuse(*_args, **_options):
        pytest.fail("code of the hub was asked for")

    monkeypatch.setattr(evaluate, "load", refuse)
    task = Task("mine", Metric("pass@1"), lm_eval_name=name)
    for look in (library.check_known, lambda task: library.load(task, seed=1)):
        with pytest.raises(
            StudyError, match=f"lm-eval's {name} runs code written by the model, which this suite refuses"
        ):
            look(task)


def test_every_name_of_lm_evals_index_is_a_task_name(complete):
    for name in complete:
        Task("mine", Metric("acc"), lm_eval_name=name)


def load(task, **fields):
    return TaskLibrary().load(dataclasses.replace(STUDY.tasks[task], **fields), seed=1)


def test_the_studys_number_of_examples_reaches_the_prompts(own_tasks):
    own_tasks("fewshot_split: test")
    (task,) = load("facts", num_fewshot=2)["tasks"].values()
    task.build_all_requests(limit=1)
    asked = task.task_docs[0]["prompt"]
    (prompt,) = {instance.args[0] for instance in task.instances}
    assert prompt.endswith(asked)
    assert prompt.count("\n\n") == 2
    assert asked not in prompt.removesuffix(asked)


@pytest.mark.parametrize(
    ("lines", "shots", "message"),
    [
        (
            ["num_fewshot: 0"],
            5,
            "num_fewshot is 5, but lm-eval's nano_facts always uses 0 examples; set num_fewshot = 0",
        ),
        (
            ["test_split: test"],
            1,
            "lm-eval's nano_facts draws few-shot examples from the scored items, so that",
        ),
        (
            ["fewshot_split: test"],
            500,
            "num_fewshot is 500, but lm-eval's nano_facts has only 499 to draw from; lower",
        ),
        (
            ["fewshot_split: test", "fewshot_config: {sampler: first_n}"],
            500,
            "num_fewshot is 500, but lm-eval's nano_facts has only 499 to draw from; lower num_fewshot",
        ),
        (
            ["fewshot_config: {samples: [{prompt: a, choices: [b, c], gold: 0}]}"],
            2,
            "num_fewshot is 2, but lm-eval's nano_facts has only 1 to draw from; lower num_fewshot",
        ),
    ],
)
def test_examples_that_lm_eval_would_not_use_so_are_refused_before_scoring(own_tasks, lines, shots, message):
    own_tasks(*lines)
    with pytest.raises(StudyError, match=f"^task facts: {message}"):
        load("facts", num_fewshot=shots)


def test_as_many_examples_as_there_are_can_be_had(own_tasks):
    own_tasks("fewshot_split: test")
    (task,) = load("facts", num_fewshot=499)["tasks"].values()
    task.build_all_requests(limit=1)
    assert task.instances[0].args[0].count("\n\n") == 499


@pytest.mark.parametrize(
    ("key", "shots", "message"),
    [
        (
            "truthfulqa_mc1",
            5,
            "num_fewshot is 5, but lm-eval's truthfulqa_mc1 always uses 0 examples; set num_fewshot = 0",
        ),
        ("truthfulqa_mc2", 5, "lm-eval's truthfulqa_mc2 always uses 0"),  # through another file that it includes
        ("ifeval", 1, "lm-eval's ifeval always uses 0"),
        ("wikitext", 2, "num_fewshot is 2, but lm-eval's wikitext scores whole texts without examples; set"),
    ],
)
def test_validate_sees_examples_that_are_not_used_without_data(library, key, shots, message):
    with pytest.raises(StudyError, match=message):
        library.check_known(dataclasses.replace(STUDY.tasks[key], num_fewshot=shots))


def test_a_groups_own_word_about_one_of_its_tasks_counts(library, monkeypatch):
    from lm_eval.tasks._index import Entry, Kind

    members = [{"task": "piqa", "num_fewshot": 0}, "arc_easy"]
    group = Entry("own_group", Kind.GROUP, None, {"group": "own_group", "task": members})
    for name in ("piqa", "arc_easy"):
        index = manager_of(name).task_index
    monkeypatch.setitem(index, "own_group", group)
    task = Task("own", Metric("acc"), num_fewshot=3, lm_eval_name="own_group")
    with pytest.raises(StudyError, match="task own: num_fewshot is 3, but lm-eval's piqa always uses 0 examples"):
        library.check_known(task)


@pytest.mark.parametrize("key", ["wikitext", "lambada_openai"])
def test_what_continues_a_text_has_no_chat_format(library, key):
    task = Task("chatty", Metric("acc"), lm_eval_name=key, prompt_format=PromptFormat.CHAT)
    with pytest.raises(
        StudyError,
        match="task chatty: it scores how a text continues, and a chat template would break up the text; set",
    ):
        library.check_known(task)


def test_the_last_word_of_a_text_is_not_scored_as_a_chat():
    with pytest.raises(StudyError, match="it scores how a text continues"):
        load("lastword", key="lastword_chat", metric=Metric("acc"), prompt_format=PromptFormat.CHAT)


def busy():
    from huggingface_hub.errors import HfHubHTTPError

    response = SimpleNamespace(headers={}, status_code=429, request=None, url="")
    return HfHubHTTPError("429 Client Error: Too Many Requests", response=response)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("Dataset scripts are no longer\nsupported"),
            "RuntimeError: Dataset scripts are no longer.*; the task",
        ),
        (
            TypeError("'NoneType' object is not callable"),
            "TypeError: 'NoneType'.*; the task does not work with these versions",
        ),
        (
            ModuleNotFoundError("No module named 'nope'"),
            "ModuleNotFoundError: No module named 'nope'.*; install the package that the error names, or",
        ),
        (busy(), "HfHubHTTPError: 429 Client Error.*; check the connection, or load the data once"),
        (ConnectionError("no route"), "ConnectionError: no route.*; check the connection"),
        (ValueError("Couldn't find cache for piqa"), "ValueError: Couldn't find cache.*; check the connection"),
        (AssertionError(), "AssertionError: AssertionError.*; the task does not work"),
    ],
)
def test_whatever_a_data_set_raises_is_one_line(monkeypatch, error, message):
    def refuse(*_args):
        raise error

    monkeypatch.setattr("glu_lib.models.hub_access._WAITS_S", ())
    monkeypatch.setattr("lm_eval.tasks.TaskManager.load", refuse)
    with pytest.raises(AccessError, match=f"^task facts: its data cannot be loaded \\({message}") as caught:
        load("facts")
    assert "\n" not in str(caught.value)


def test_a_data_server_that_is_busy_is_asked_again(monkeypatch):
    from lm_eval.tasks import TaskManager

    answers, load_really = [busy(), busy()], TaskManager.load

    def answer(*args):
        if answers:
            raise answers.pop()
        return load_really(*args)

    monkeypatch.setattr("glu_lib.models.hub_access._WAITS_S", (0, 0))
    monkeypatch.setattr("lm_eval.tasks.TaskManager.load", answer)
    assert list(load("facts")["tasks"]) == ["nano_facts"]


def test_ifevals_language_checks_give_the_same_answer_each_time(library, monkeypatch):
    langdetect = pytest.importorskip("langdetect")
    monkeypatch.setattr(langdetect.DetectorFactory, "seed", None)
    library.load(STUDY.tasks["facts"], seed=1234)
    found = {str(langdetect.detect_langs("no me importa . . casa da mare")) for _ in range(20)}
    assert len(found) == 1
