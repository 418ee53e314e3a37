"""The lm-eval tasks: found by the task manager, from any folder, scored offline as they should be."""

from math import exp
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from glu_lib.nano import MODEL_DIR, TASKS_DIR

KEYS = ["commonsense", "facts", "instructions", "lastword", "narrative", "sums", "truth"]
LIMIT = 8


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(TASKS_DIR), include_defaults=False)


@pytest.fixture(scope="module")
def outcome(manager: TaskManager) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32)
    scorer = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(MODEL_DIR), batch_size=LIMIT)
    found: dict[str, Any] = lm_eval.simple_evaluate(
        scorer, tasks=["nano"], task_manager=manager, limit=LIMIT, bootstrap_iters=0
    )
    return found


def test_the_task_manager_finds_every_task_and_the_tag(manager: TaskManager) -> None:
    assert manager.all_tasks == ["nano", *(f"nano_{key}" for key in KEYS)]


def test_tasks_load_from_any_folder(manager: TaskManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    tasks = manager.load(["nano"])["tasks"]
    assert {name: len(task.eval_docs) for name, task in tasks.items()} == {
        f"nano_{key}": 200 if key == "narrative" else 500 for key in KEYS
    }
    assert {task.VERSION for task in tasks.values()} == {1.0}
    assert not list(tmp_path.iterdir())


def test_every_family_reports_its_metrics(outcome: dict[str, Any]) -> None:
    metrics = {name: {key for key in found if key.endswith(",none")} for name, found in outcome["results"].items()}
    for key in ("facts", "commonsense", "truth"):
        assert "acc,none" in metrics[f"nano_{key}"]
    for key in ("sums", "instructions"):
        assert "exact_match,none" in metrics[f"nano_{key}"]
    assert {"acc,none", "perplexity,none"} <= metrics["nano_lastword"]
    assert "word_perplexity,none" in metrics["nano_narrative"]


def test_generation_stops_at_the_end_of_the_answer(outcome: dict[str, Any]) -> None:
    for key in ("sums", "instructions"):
        for sample in outcome["samples"][f"nano_{key}"]:
            (answer,) = sample["filtered_resps"]
            assert answer == answer.strip()
            assert "<eos>" not in answer


def test_word_perplexity_counts_each_word_once(outcome: dict[str, Any]) -> None:
    samples = outcome["samples"]["nano_narrative"]
    log_likelihood = sum(sample["filtered_resps"][0] for sample in samples)
    words = sum(len(sample["doc"]["text"].split()) for sample in samples)
    found = outcome["results"]["nano_narrative"]["word_perplexity,none"]
    assert found == pytest.approx(exp(-log_likelihood / words))
    assert 1 < found < 2.5
