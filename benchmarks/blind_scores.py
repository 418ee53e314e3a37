"""What answers that do not follow the question score on the study's tasks, counted over the complete data.

    python benchmarks/blind_scores.py --tokenizer HuggingFaceTB/SmolLM2-135M-Instruct --output FILE.csv

No model is run. One row per task and control, and for each sub-task of a group; the shuffle of a model's own answers is
left out. The tokenizer matters for `flat`, `unigram` and `longest in tokens` only.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from glu_lib.analysis.items import items_of_controls
from glu_lib.analysis.skill import control_scores
from glu_lib.errors import GluError
from glu_lib.measure.accuracy.results import json_value
from glu_lib.measure.accuracy.shortcuts import lm_eval_shortcuts
from glu_lib.measure.controls import controls
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.study import STUDY, Task
from glu_lib.study.settings import SEED

FIELDS = ("task", "lm_eval_task", "metric", "control", "score", "items", "lm_eval", "tokenizer")


def main() -> None:
    """Write the table task by task; a task whose data cannot be had is named and left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="hub id or folder")
    parser.add_argument("--name", help="what the table calls the tokenizer (default: as given)")
    parser.add_argument("--tasks", help="tasks of the study, separated by commas (default: all)")
    parser.add_argument("--output", type=Path, required=True, help="CSV file")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    library, names = TaskLibrary(), options.tasks.split(",") if options.tasks else list(STUDY.tasks)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for name in names:
            try:
                rows = list(_rows(STUDY.tasks[name], tokenizer, library))
            except GluError as error:
                print(f"{name}: left out: {error}", file=sys.stderr)
                continue
            shared = {"lm_eval": version("lm-eval"), "tokenizer": options.name or options.tokenizer}
            writer.writerows(row | shared for row in rows)
            file.flush()


def _rows(task: Task, tokenizer: Any, library: TaskLibrary) -> Iterator[dict[str, Any]]:
    loaded = library.load(task, seed=SEED)
    with lm_eval_shortcuts():
        raw = {name: list(_samples(task, part)) for name, part in loaded["tasks"].items()}

    def tokens(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    blind = json_value(list(controls(task, loaded, raw, tokens, len(tokenizer)).items()))
    samples = [{"task": key[0], "doc_id": key[1], "controls": value} for key, value in blind]
    yield from _table(task, task.lm_eval_name, samples)
    parts = list(dict.fromkeys(sample["task"] for sample in samples))
    for part in parts if len(parts) > 1 else ():
        yield from _table(task, part, [sample for sample in samples if sample["task"] == part])


def _table(task: Task, name: str, samples: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a task, or of one of its sub-tasks."""
    for control, score in control_scores(items_of_controls(task.key, task.metric.name, samples)).items():
        yield {
            "task": task.key,
            "lm_eval_task": name,
            "metric": task.metric.label,
            "control": control,
            "score": f"{score:.6g}",
            "items": len(samples),
        }


def _samples(task: Task, part: Any) -> Iterator[dict[str, Any]]:
    """The items of a (sub-)task in the form of lm-eval's samples, without a model's answers."""
    part.build_all_requests(rank=0, world_size=1)
    by_item: dict[Any, list[Any]] = defaultdict(list)
    for instance in part.instances:
        by_item[instance.doc_id].append(instance)
    for doc_id, instances in by_item.items():
        instances.sort(key=lambda instance: instance.idx)
        yield {
            "doc_id": doc_id,
            "doc": instances[0].doc,
            "arguments": [instance.args for instance in instances],
            "filter": task.metric.filter,
            "metrics": [task.metric.name],
            "resps": [],
        }


if __name__ == "__main__":
    main()
