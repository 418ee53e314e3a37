"""Score the embedded model's tasks with lm-eval on pruned copies of it, for the model card."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from glu_lib.cases import Pruning
from glu_lib.embedded.families import FAMILIES
from glu_lib.embedded.paths import TASKS_DIR
from glu_lib.pruning import prune
from glu_lib.study import Method

BATCH_SIZE = 64
SEED = 42
PLAN = (
    *(Pruning(percent) for percent in range(0, 70, 10)),
    *(Pruning(30, method) for method in (Method.VOW, Method.PON, Method.L2, Method.RANDOM)),
)

# column -> (family, lm-eval metric); one order for every table
METRICS: dict[str, tuple[str, str]] = {
    "facts": ("facts", "acc"),
    "sums": ("sums", "exact_match"),
    "instructions": ("instructions", "exact_match"),
    "commonsense": ("commonsense", "acc"),
    "truth": ("truth", "acc"),
    "lastword": ("lastword", "acc"),
    "lastword perplexity": ("lastword", "perplexity"),
    "narrative perplexity": ("narrative", "word_perplexity"),
}
COLUMNS = (*METRICS, "exceptions", "misconceptions")


@dataclass(frozen=True)
class Measurement:
    """Scores of one pruned copy; `scores` has the keys of COLUMNS, accuracies from 0 to 1."""

    pruning: Pruning
    width: int
    scores: dict[str, float]


def measure(model_dir: Path, plan: Sequence[Pruning] = PLAN, limit: int | None = None) -> Iterator[Measurement]:
    """Prune a fresh copy for each entry of the plan and score all tasks on it, in float32 on the CPU."""
    tasks = TaskManager(include_path=str(TASKS_DIR), include_defaults=False)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    for pruning in plan:
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        width = prune(model, pruning, seed=SEED).width
        scorer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH_SIZE)
        outcome = lm_eval.simple_evaluate(
            scorer,
            tasks=[f"nano_{family.key}" for family in FAMILIES],
            task_manager=tasks,
            limit=limit,
            bootstrap_iters=0,
        )
        yield Measurement(pruning, width, _scores(outcome))


def _scores(outcome: dict[str, Any]) -> dict[str, float]:
    results, samples = outcome["results"], outcome["samples"]
    return {
        **{column: float(results[f"nano_{key}"][f"{metric},none"]) for column, (key, metric) in METRICS.items()},
        "exceptions": _exception_accuracy(samples["nano_commonsense"]),
        "misconceptions": _misconception_share(samples["nano_truth"]),
    }


def _exception_accuracy(samples: list[dict[str, Any]]) -> float:
    """Accuracy on the memorised exceptions alone; NaN if a limit cut them all off."""
    right = [sample["acc"] for sample in samples if sample["doc"]["kind"] == "exception"]
    return float(sum(right) / len(right)) if right else float("nan")


def _misconception_share(samples: list[dict[str, Any]]) -> float:
    """Share of the topics on which the misconception is the likeliest option."""
    fallen_for = [_chosen(sample) == sample["doc"]["misconception"] for sample in samples]
    return float(sum(fallen_for) / len(samples))


def _chosen(sample: dict[str, Any]) -> int:
    log_likelihoods = [response[0] for response in sample["filtered_resps"]]
    return log_likelihoods.index(max(log_likelihoods))
