"""lm-eval's own files beside a record, compared with those that lm-eval writes itself on the same model and task."""

import dataclasses
import json
import shutil

import jsonschema
import pytest
from exported_formats import EVERY_EVAL_EVER, EVERY_EVAL_EVER_ITEM

from glu_lib.frontends.cli.entry import main
from glu_lib.nano import MODEL_DIR, TASKS_DIR
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import CHAT_DATE, STUDY, ModelVariant, PromptFormat, VariantKind
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

TEMPLATE = "{% for message in messages %}task : {{ message['content'] }} {% endfor %}"
OWN = {"scorer", "samples", "chat_date"}  # fields of `config` that lm-eval has not
# Why a field differs although model, task and settings are the same.
EXPLAINED = {
    "config": "compared field by field below",
    "date": "when the run began",
    "git_hash": "the suite's commit; lm-eval's is that of the working folder",
    "upper_git_hash": "lm-eval looks for a repository around the working folder",
    "pretty_env_info": "hardware and versions; lm-eval has torch collect them, which takes seconds",
    "model_name": "the level stands in the name",
    "model_name_sanitized": "the level stands in the name",
    "total_evaluation_time_seconds": "a time",
}
EXPLAINED_CONFIG = {
    "model_args": "the level's pruning stands in them, as text",
    "model_sha": "lm-eval knows commits of the hub only, not the digest of a folder",
}


def lm_evals_own(folder, source, *, is_chat):
    """The results file that lm-eval writes of four items."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    tracker = EvaluationTracker(output_path=str(folder))
    seeds = dict.fromkeys(("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"), 1234)
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": source, "dtype": "float32"},
        tasks=["nano_facts"],
        task_manager=TaskManager(include_path=str(TASKS_DIR), include_defaults=False),
        batch_size=32,
        device="cpu",
        limit=4,
        bootstrap_iters=1000,
        evaluation_tracker=tracker,
        apply_chat_template=is_chat,
        fewshot_as_multiturn=is_chat,
        **seeds,
    )
    tracker.save_results_aggregated(results=results, samples=results.pop("samples"))
    (path,) = folder.rglob("results_*.json")
    return json.loads(path.read_text())


@pytest.fixture
def cases(tmp_path):
    """The embedded model with a chat template, and the same task with chat prompts and with plain ones."""
    folder = tmp_path / "chatty"
    shutil.copytree(MODEL_DIR, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    facts = STUDY.tasks["facts"]
    chat = dataclasses.replace(facts, key="facts_chat", prompt_format=PromptFormat.CHAT)
    variant = ModelVariant("chatty", str(folder), VariantKind.INSTRUCT, (0,))
    return {task.is_chat: Case(variant, Pruning(0), task) for task in (chat, facts)}


def measure(settings, case):
    experiment = Experiment(settings)
    with experiment.levels.prepared(case.model, case.pruning) as prepared:
        Session(experiment).measure(case, prepared)


@pytest.mark.parametrize("is_chat", [True, False], ids=["chat", "plain"])
def test_the_results_file_has_every_field_of_lm_evals_own_with_equal_or_explained_values(
    settings, tmp_path, cases, monkeypatch, is_chat
):
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "hardware and versions")
    measure(settings, cases[is_chat])
    (path,) = settings.results_dir.glob("lm_eval/**/results_*.json")
    ours = json.loads(path.read_text())
    theirs = lm_evals_own(tmp_path / "theirs", cases[is_chat].model.source, is_chat=is_chat)
    assert set(ours) == set(theirs)
    assert {name for name in theirs if ours[name] != theirs[name]} <= set(EXPLAINED)
    assert set(ours["config"]) == set(theirs["config"]) | OWN
    assert {name for name, value in theirs["config"].items() if ours["config"][name] != value} <= set(EXPLAINED_CONFIG)
    assert ours["chat_template"] == (TEMPLATE if is_chat else None)
    assert ours["chat_template_sha"] == theirs["chat_template_sha"]
    assert (ours["chat_template_sha"] is not None) == is_chat
    assert ours["config"]["chat_date"] == (CHAT_DATE.isoformat() if is_chat else None)
    assert 0 < float(ours["total_evaluation_time_seconds"]) < 600


def test_without_lm_evals_files_the_record_is_the_same_and_an_earlier_runs_files_are_gone(settings, capsys, cases):
    case = cases[False]
    measure(settings, case)
    assert main(["export", str(settings.results_dir), "--format", "every-eval-ever"]) == 0
    assert "without items" not in capsys.readouterr().out
    (items,) = settings.results_dir.glob("every_eval_ever/**/*_samples.jsonl")
    for line in items.read_text().splitlines():
        jsonschema.validate(json.loads(line), EVERY_EVAL_EVER_ITEM)
    (path,) = settings.results_dir.glob("individual_files/*/*/*.json")
    before = json.loads(path.read_text())
    measure(dataclasses.replace(settings, lm_eval_files=False), case)
    assert not list(settings.results_dir.glob("lm_eval/**/*.json*"))
    after = json.loads(path.read_text())
    assert (after["done_key"], after["score"]) == (before["done_key"], before["score"])
    assert main(["export", str(settings.results_dir), "--format", "every-eval-ever"]) == 0
    assert "without items: chatty-p0-facts: lm-eval's own files (folder lm_eval)" in capsys.readouterr().out
    assert not list(settings.results_dir.glob("every_eval_ever/**/*_samples.jsonl"))
    (path,) = settings.results_dir.glob("every_eval_ever/**/*.json")
    jsonschema.validate(json.loads(path.read_text()), EVERY_EVAL_EVER)
