import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import StudyError
from glu_lib.study import STUDY, VariantKind, load_study
from glu_lib.study.cases import CaseKind, build_cases

STORIES = """
methods = ["maw", "random"]
divisors = [32]

[models.stories]
source = "karpathy/stories260K"
kind = "base"
revision = "main"
levels = [0, 20, 40]

[tasks.piqa]
num_fewshot = 1
metric = "acc_norm"

[tasks.mine]
task = "own_task"
metric = "exact_match,strict"
chance = 0

[suites]
quick = ["piqa", "wikitext", "mine"]
"""

MINE = '[models.mine]\nsource = "shape-only"\nkind = "base"\nlevels = [0, 40]\n'
SHAPE = (
    "intermediate_size = 2048, num_layers = 4, num_heads = 8, num_kv_heads = 2, head_dim = 64, vocab_size = 1000, "
    "tied_embeddings = true, max_positions = 2048, rope_theta = 500000.0"
)


def test_a_file_adds_models_tasks_and_suites(load):
    found = load(STORIES)
    stories = found.study.models["stories"]
    assert (stories.source, stories.kind, stories.levels, stories.architecture) == (
        "karpathy/stories260K",
        VariantKind.BASE,
        (0, 20, 40),
        None,
    )
    assert [method.key for method in found.methods] == ["PPM", "random1", "random2", "random3"]
    assert found.divisors == (32,)
    assert found.study.suites["quick"].models == ("stories",)
    mine = found.study.tasks["mine"]
    assert (mine.lm_eval_name, mine.metric.label, mine.metric.chance) == ("own_task", "exact_match,strict", 0)


def test_a_file_replaces_only_what_it_names(load):
    piqa = load(STORIES).study.tasks["piqa"]
    assert (piqa.num_fewshot, piqa.metric.label, piqa.lm_eval_name) == (1, "acc_norm", "piqa")
    changed = load("[models.llama1b]\nlevels = [0, 35]").study.models["llama1b"]
    assert changed.levels == (0, 35)
    assert changed.architecture == STUDY.models["llama1b"].architecture
    assert load('[models.llama1b]\nsource = "other/weights"').study.models["llama1b"].architecture is None


def test_a_new_model_runs_the_suites_of_its_kind(load):
    study = load(STORIES).study
    cases = [case for case in build_cases(study) if case.model.key == "stories"]
    assert {case.pruning.percent for case in cases if case.kind is not CaseKind.LAYERS} == {0, 20, 40}
    assert {suite for case in cases for suite in case.suites} == {"paper", "core", "carbon", "layers", "quick"}
    only = load(STORIES.replace("levels = [0, 20, 40]", 'levels = [0]\nsuites = ["paper"]')).study
    cases = [case for case in build_cases(only) if case.model.key == "stories"]
    assert {suite for case in cases for suite in case.suites} == {"paper", "quick"}


def test_a_file_may_choose_the_window_of_a_text(load):
    table = '[tasks.wikitext2_{0}]\ntask = "wikitext2_windows"\nwindow = {1}\nmetric = "token_perplexity"\n'
    table += "higher_is_better = false\n"
    text = table.format("4096", 4096) + table.format("context", '"context"')
    tasks = load(f'{text}[suites]\nlong = ["wikitext2_4096", "wikitext2_context"]').study.tasks
    assert [tasks[f"wikitext2_{name}"].window for name in ("2048", "4096", "context")] == [2048, 4096, "context"]
    assert tasks["wikitext2_4096"].metric == tasks["wikitext2_2048"].metric


@pytest.mark.parametrize("suites", ['quick = ["facts", "sums"]', 'quick = { tasks = ["facts", "sums"], models = [] }'])
def test_a_model_may_name_a_suite_of_the_same_file(load, suites):
    study = load(f'{MINE}suites = ["quick"]\n[suites]\n{suites}\n').study
    assert "mine" in study.suites["quick"].models
    cases = [case.id for case in build_cases(study) if case.model.key == "mine"]
    assert cases == ["mine-p0-facts", "mine-p0-sums", "mine-p40-facts", "mine-p40-sums"]


def test_the_committed_study_file_is_read():
    path = Path(__file__).resolve().parents[3] / "results/measured/cpu_alignment/study.toml"
    assert "quarter" in load_study(path, STUDY).study.models


def test_an_empty_file_is_the_built_in_study(load):
    assert load("").study == STUDY
    assert load("controls = false").study == STUDY


def test_a_file_asks_for_controls_and_no_key_of_it_may_then_be_part_of_theirs(load):
    study = load(f"controls = true\n{MINE}").study
    ids = [case.id for case in build_cases(study) if case.model.key == "mine"]
    assert {"mine-nomlp-piqa", "mine-untrained-piqa"} <= set(ids)
    key = MINE.replace("mine", "mlp")
    assert "mlp" in load(key).study.models
    with pytest.raises(
        StudyError, match="model key 'mlp' is part of the level 'nomlp': -k mlp would select both; rename the model"
    ):
        load(f"controls = true\n{key}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.x", "not valid TOML"),
        ("[model.x]", "top level: field 'model' is unknown; choose one of models, tasks"),
        ("[models.x]\nsource = 3", r"\[models.x\]: source is 3; it must be a text"),
        ("[models.mine]\nlevels = [0]", r"\[models.mine\] lacks source; a new model needs a hub id or a folder"),
        ('[models.x]\nsource="a/b"\nkind="chat"\nlevels=[0]', "kind 'chat' is unknown; choose one of base, instruct"),
        (
            '[models.x]\nsource="a/b"\nkind="base"\nlevels=["0"]',
            r"level '0': write a level as 40 \(per cent, a whole number from 0 to 95\), ",
        ),
        ('[models.x]\nsource="a/b"\nkind="base"\nlevels=[99]', "level 99 of model 'x' is outside 0–95 per cent"),
        (
            '[models.x]\nsource="a/b"\nkind="base"\nlevels=[5, 50]',
            "levels 5 and 50 of model 'x': -k p5 would select both",
        ),
        (
            '[models.llama1]\nsource="a/b"\nkind="base"\nlevels=[0]',
            "model key 'llama1' is part of the model key 'llama1b'",
        ),
        (
            '[models."../x"]\nsource="a/b"\nkind="base"\nlevels=[0]',
            "must consist of at most 60 lower-case letters, digits and _",
        ),
        (
            '[models.x]\nsource="a/b"\nkind="base"\nlevels=[0]\nsuites=["y"]',
            "suite 'y' is not in the study; choose one of",
        ),
        ("[tasks.new]\nnum_fewshot = 1", r"\[tasks.new\] lacks metric; a new task needs a headline metric"),
        ('[tasks.new]\nmetric = "acc"', r"\[tasks.new\] is in no suite; add it to one, for example \[suites\] mine = "),
        ("[tasks.piqa]\nnum_fewshot = true", "num_fewshot is True; it must be a whole number"),
        ('[suites]\nquick = ["nothing"]', "suite 'quick': task 'nothing' is not in the study; choose one of"),
        ("[workloads.x]\nprompts = 'piqa'", r"\[workloads.x\] lacks num_prompts"),
        ("[workloads.x]\nnum_prompts = 4", r"\[workloads.x\] lacks prompts; name a task, or give prompt_tokens"),
        ("[suites]\nx = {tasks = ['piqa'], divisors = [100]}", r"\[suites\] x: divisors hold 100; choose from 32, 64"),
        (MINE + "architecture = {hidden_size = 8}", r"\[models.mine.architecture\] lacks intermediate_size; a shape"),
        (
            MINE + f"architecture = {{{SHAPE}, hidden_size = 0}}",
            r"architecture\]: hidden_size is 0; it must be more than 0",
        ),
        (MINE + f"architecture = {{{SHAPE}, hidden_size = 500}}", r"hidden_size 500 must be a multiple of num_heads 8"),
        (MINE + "architecture = {width = 8}", r"\[models.mine.architecture\]: field 'width' is unknown"),
        ('methods = ["magic"]', "method 'magic' is unknown"),
        ("controls = 1", "top level: controls is 1; it must be a true or false"),
        ("[tasks.wikitext2_2048]\nwindow = 1.5", "window is 1.5; it must be a whole number or text"),
        ('[tasks.wikitext2_2048]\nwindow = "all"', "window 'all' must be at least 2 tokens, or \"context\""),
        (
            "[suites]\nnul = ['piqa']",
            "suite key 'nul' is the name of a device on Windows, no file can have it; rename it",
        ),
        ("[suites]\nskip = ['piqa']", "suite key 'skip' is already used as a pytest marker or a model key; rename it"),
        ("[suites]\nq = [['a']]", r"the list holds \['a'\]; it must hold keys, as text"),
        ("[suites]\nq = 'piqa'", "is 'piqa'; it must be a list of tasks or a table"),
        ("[suites.q]\ntasks = [['a']]", r"tasks holds \['a'\]; it must hold keys, as text"),
        ("divisors = [7]", "divisors hold 7; choose from 32, 64, 128, 256"),
        ("[tasks.piqa]\nchance = 7.0", "metric 'acc': chance 7.0 must be from 0 to 1"),
        ("[tasks]\npiqa = 3", r"\[tasks.piqa\] is 3; it must be a table"),
        ('[tasks.new]\nmetric = "acc"\ntask = "/tmp/evil.yaml"', "'/tmp/evil.yaml' is not an lm-eval task name"),
        ('[tasks.facts]\ntask = "piqa"', "facts ships with the package and always means nano_facts: use another key"),
        (
            '[tasks.piqa]\nmetric = "a b"',
            "metric 'a b' cannot be an lm-eval name; use ASCII letters, digits and signs",
        ),
        ('[models."a\\nb"]\nlevels = [0]', r"top level.models: text 'a\\nb' contains a line break or an invisible"),
        ("x = 9223372036854775808", "top level.x: a number of 64 bits is too large; TOML allows 64"),
        ("[tasks.piqa]\nchance = nan", "top level.tasks.piqa.chance: nan is not a finite number; give a"),
        ("x = " + "[" * 9000, "not valid TOML"),
    ],
)
def test_each_mistake_is_one_line_with_the_remedy(load, text, message):
    with pytest.raises(StudyError, match=message) as caught:
        load(text)
    assert str(caught.value).startswith("study file ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(StudyError, match="cannot be read .*; name a TOML file"):
        load_study(tmp_path / "nothing.toml", STUDY)


@given(st.text(max_size=80))
def test_no_text_crashes_the_reader(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(StudyError):
        load_study(path, STUDY)


def test_a_shape_makes_a_model_that_random_weights_can_measure(load):
    text = MINE + f"suites = ['alignment']\narchitecture = {{{SHAPE}, hidden_size = 512}}"
    study = load(text).study
    shape = study.models["mine"].architecture
    assert (shape.hidden_size, shape.intermediate_size, shape.tied_embeddings) == (512, 2048, True)
    assert study.suites["alignment"].models == (*STUDY.suites["alignment"].models, "mine")
    levels = {
        case.pruning.key for case in build_cases(study) if case.model.key == "mine" and "alignment" in case.suites
    }
    assert levels == {"p0", "p40", "p40d128"}


def test_a_workload_without_a_task_has_random_prompts(load):
    text = "[workloads.x]\nprompt_tokens = 64\nnum_prompts = 4\nnew_tokens = 2\nbatch_size = 1\n[suites]\nmine = ['x']"
    workload = load(text).study.workloads["x"]
    assert (workload.prompts, workload.prompt_tokens) == (None, 64)


def test_a_chat_variant_is_a_task_of_its_own(load):
    found = load(
        '[tasks.mmlu_chat]\ntask = "mmlu"\nmetric = "acc"\nprompt_format = "chat"\n[suites]\nown = ["mmlu_chat"]\n'
    )
    task = found.study.tasks["mmlu_chat"]
    assert (task.lm_eval_name, task.prompt_format, task.is_chat) == ("mmlu", "chat", True)
    assert not found.study.tasks["mmlu"].is_chat


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[tasks.ifeval]\nprompt_format = "chat"\n',
            r"the prompt format of ifeval is plain and cannot change, so that a key means one format; add "
            r'a task for the chat format: \[tasks.ifeval_chat\] with task = "ifeval"',
        ),
        (
            '[tasks.ifeval_chat]\nprompt_format = "plain"\n',
            "the prompt format of ifeval_chat is chat and cannot change",
        ),
        (
            '[tasks.mine]\nmetric = "acc"\nprompt_format = "turns"\n',
            "prompt_format 'turns' is unknown; choose one of plain, chat",
        ),
        (
            '[tasks.mine]\nmetric = "word_perplexity"\ntask = "wikitext"\nprompt_format = "chat"\n',
            "task 'mine': it scores how a text continues, and a chat template would break",
        ),
        (
            '[workloads.mine]\nprompts = "ifeval_chat"\nnum_prompts = 1\nnew_tokens = 1\nbatch_size = 1\n',
            "workload 'mine': workloads need plain prompts, and task 'ifeval_chat' has chat prompts; name a task",
        ),
    ],
)
def test_a_name_means_one_prompt_format(load, text, message):
    with pytest.raises(StudyError, match=message):
        load(text)


def test_an_instruct_model_runs_the_chat_suite_unless_its_table_says_otherwise(load):
    table = '[models.talker]\nsource = "a/b"\nkind = "instruct"\nlevels = [0]\n'
    assert "talker" in load(table).study.suites["chat"].models
    assert "talker" not in load(f'{table}suites = ["instruct"]\n').study.suites["chat"].models
    assert "talker" not in load(table.replace("instruct", "base")).study.suites["chat"].models


def test_a_level_is_a_percentage_or_what_is_wanted(load):
    found = load(MINE.replace("[0, 40]", '[0, 40, "2.4x", "1.8gb"]')).study.models["mine"]
    assert [str(level) for level in found.levels] == ["0", "40", "2.4x", "1.8GB"]
    with pytest.raises(StudyError, match=r"levels holds 2.4; it must hold whole numbers \(per cent\) or texts such as"):
        load(MINE.replace("40", "2.4"))


CHATTY = {"chat_template.jinja": "{{ messages }}"}
CHATTY_FIELD = {"tokenizer_config.json": '{"chat_template": "{{ messages }}"}'}
PLAIN = {"tokenizer_config.json": "{}"}


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        (CHATTY, VariantKind.INSTRUCT, "its tokenizer has a chat template"),
        (CHATTY_FIELD, VariantKind.INSTRUCT, "its tokenizer has a chat template"),
        (PLAIN | CHATTY, VariantKind.INSTRUCT, "its tokenizer has a chat template"),
        (PLAIN, VariantKind.BASE, "its tokenizer has no chat template"),
        ({"tokenizer_config.json": '{"chat_template": null}'}, VariantKind.BASE, "its tokenizer has no chat template"),
        ({"tokenizer_config.json": "[" * 9000}, VariantKind.BASE, "its tokenizer has no chat template"),
        ({}, VariantKind.BASE, "its folder holds no tokenizer_config.json of it"),
    ],
)
def test_one_line_is_enough_for_a_model_of_a_folder(load, tmp_path, files, kind, reason):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    found = load(f'[models.mine]\nsource = "{folder}"\n')
    mine = found.study.models["mine"]
    assert (mine.kind, mine.levels) == (kind, STUDY.models["nano"].levels)
    assert found.notes == (f'model mine: taken for {kind}, because {reason}; kind = "…" in the study file fixes it',)
    suites = {key for key, suite in found.study.suites.items() if "mine" in suite.models}
    other = {"paper"} if kind is VariantKind.BASE else {"instruct", "chat"}
    assert suites == {"core", "carbon", "layers", *other}
    assert load(f'[models.mine]\nsource = "{folder}"\nkind = "base"\n').notes == ()


def test_one_line_is_enough_for_a_model_of_the_hub(load, tmp_path, monkeypatch):
    """Before its files are in the cache it is taken for base, and a line says so; the network is not asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    text = '[models.mine]\nsource = "org/name"\n'
    found = load(text)
    assert found.study.models["mine"].kind is VariantKind.BASE
    assert found.notes[0].startswith(
        "model mine: taken for base, because the cache has no tokenizer_config.json of it;"
    )
    for name, content in PLAIN.items() | CHATTY.items():
        path = tmp_path / "hub/models--org--name/snapshots/0123" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    refs = tmp_path / "hub/models--org--name/refs/main"
    refs.parent.mkdir()
    refs.write_text("0123")
    assert load(text).study.models["mine"].kind is VariantKind.INSTRUCT
    assert load(f'{text}revision = "other"\n').study.models["mine"].kind is VariantKind.BASE
    assert load('[models.mine]\nsource = "not/a/hub/id"\n').study.models["mine"].kind is VariantKind.BASE


def test_the_kind_of_a_gguf_file_is_said_to_be_assumed(load):
    found = load('[models.mine]\nsource = "org/name"\ngguf = "x.gguf"\n')
    assert found.notes[0].startswith("model mine: taken for base, because the header of a GGUF file is not read before")


def test_a_changed_built_in_model_needs_no_kind(load):
    assert load("[models.llama1b]\nlevels = [0, 35]").notes == ()
