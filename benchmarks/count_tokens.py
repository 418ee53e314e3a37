"""Counts, without a model, the tokens that full tasks forward per level: `HFLM`, this suite, and the minimum.

    python benchmarks/count_tokens.py --tokenizer karpathy/stories260K --tasks piqa,hellaswag

`HFLM` forwards each distinct context and continuation from its first token; only log-likelihood tasks are counted.
Prints a JSON line per task.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from transformers import AutoTokenizer

from glu_lib.measure.accuracy.shortcuts import lm_eval_shortcuts
from glu_lib.measure.scoring.added_tokens import without_end
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.scoring.likelihood import LikelihoodPlan
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.study import STUDY, Task
from glu_lib.study.settings import SEED

CONTEXT = 8192  # tokens; context length of the imagined model


def main() -> None:
    """Count and print the tokens of each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="hub id or folder")
    parser.add_argument("--tasks", required=True, help="tasks of the study, separated by commas")
    options = parser.parse_args()
    tokenizer = without_end(AutoTokenizer.from_pretrained(options.tokenizer))
    library = TaskLibrary()
    for name in options.tasks.split(","):
        print(json.dumps(count(STUDY.tasks[name], tokenizer, library)), flush=True)


def count(task: Task, tokenizer: Any, library: TaskLibrary) -> dict[str, Any]:
    """Number of requests of `task`, and the tokens they forward by each way of scoring."""
    encodings = Encodings()
    requests = []
    with lm_eval_shortcuts():
        for part in library.load(task, seed=SEED)["tasks"].values():
            part.build_all_requests(rank=0, world_size=1)
            for instance in part.instances:
                context, continuation = instance.args
                requests.append(encodings.pair(context, continuation, tokenizer.encode))
    plan = LikelihoodPlan(requests, CONTEXT)
    return {
        "task": task.key,
        "requests": len(requests),
        "hflm_tokens": sum(map(len, {request.inputs(CONTEXT) for request in requests})),
        "distinct": plan.distinct_tokens(),
        "planned": plan.planned_tokens(),
    }


if __name__ == "__main__":
    main()
