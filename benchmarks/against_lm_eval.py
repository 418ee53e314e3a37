"""Compares records of a study with lm-eval's own command, item by item: `lm_eval --model hf` on saved checkpoints.

    python benchmarks/against_lm_eval.py --study study.toml --model smolq4 --levels 0,40 --items 50 \
        --results-dir results --output against_lm_eval.json

Each level is pruned and saved as a checkpoint. `lm_eval` scores the first items of every task that has a record at the
level (PPM, all layers), in float32 on CPU, and its samples are set beside those of the record: prompts by their hashes,
log-likelihoods by the largest difference, metrics by the number of items that differ. One line per level and task.
Tasks whose prompt format is not plain are left out. Finished tasks of `--output` are not measured again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glu_lib.run.experiment import Experiment
from glu_lib.study import STUDY, Study
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DType, Settings
from glu_lib.study.study_file import load_study

_PARTS = {"answers", "controls", "task", "doc_id", "filter", "target", "doc_hash", "prompt_hash", "target_hash"}


def main() -> None:
    """Score each level's tasks with lm-eval, and compare them with the records."""
    options = _options()
    study = load_study(options.study, STUDY).study if options.study else STUDY
    output = options.output
    found: list[dict[str, Any]] = json.loads(output.read_text())["found"] if output and output.exists() else []
    for level in (int(text) for text in options.levels.split(",")):
        records = [
            record
            for record in _records(options.results_dir, options.model, level)
            if options.tasks is None or record["case"]["subject"] in options.tasks.split(",")
            if (level, record["case"]["subject"]) not in {(line["percent"], line["task"]) for line in found}
        ]
        if not records:
            continue
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = _saved(study, options, level, Path(folder))
            for record in records:
                line = _compared(options, study, record, checkpoint, Path(folder))
                found.append({"percent": level, **line})
                print(json.dumps(found[-1]), flush=True)
                if output:
                    head = {"model": options.model, "items": options.items, "threads": options.threads}
                    output.write_text(json.dumps({**head, "found": found}, indent=1) + "\n")


def _records(results_dir: Path, model: str, percent: int) -> Iterator[dict[str, Any]]:
    for path in sorted(results_dir.glob(f"individual_files/{model}/p{percent}/*.json")):
        record = json.loads(path.read_text())
        is_plain = record["kind"] == "accuracy" and record["case"]["prompt_format"] == "plain"
        if is_plain and record["done_key"]["limit"] is None:
            yield record


def _saved(study: Study, options: argparse.Namespace, percent: int, folder: Path) -> Path:
    settings = Settings(folder / "unused", device="cpu", dtype=DType.FLOAT32, threads=options.threads)
    experiment = Experiment(settings, study=study)
    with experiment.levels.prepared(study.models[options.model], Pruning(percent)) as prepared:
        prepared.loaded.save(str(folder / "checkpoint"))
    return folder / "checkpoint"


def _compared(
    options: argparse.Namespace, study: Study, record: dict[str, Any], checkpoint: Path, folder: Path
) -> dict[str, Any]:
    """The line of one task: how far lm-eval's items are from the record's."""
    task = study.tasks[record["case"]["subject"]]
    ours = _first_items(options.results_dir / record["samples"]["file"], options.items)
    wanted: dict[str, list[int]] = {}
    for name, number, _ in ours:
        wanted.setdefault(name, [])
        if number not in wanted[name]:
            wanted[name].append(number)
    output = folder / f"lm_eval-{task.key}"
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu", "--batch_size", "32"]
    command += ["--model_args", f"pretrained={checkpoint},dtype=float32", "--tasks", task.lm_eval_name]
    command += ["--samples", json.dumps(wanted), "--log_samples", "--output_path", str(output)]
    command += ["--num_fewshot", str(task.num_fewshot)] if task.num_fewshot else []
    command += ["--include_path", options.include_path] if options.include_path else []
    seconds = _timed(command, options.threads)
    theirs = {}
    for path in output.rglob("samples_*.jsonl"):
        name = path.name.removeprefix("samples_").rsplit("_", 1)[0]
        for text in path.read_text().splitlines():
            sample = json.loads(text)
            theirs[name, sample["doc_id"], sample["filter"]] = sample
    if theirs.keys() != ours.keys():
        raise SystemExit(f"{task.key}: lm-eval scored {len(theirs)} items, the record holds {len(ours)} of them")
    pairs = [(ours[key], theirs[key]) for key in ours]
    return {
        "task": task.key,
        "items": len(pairs),
        "prompts_equal": sum(one["prompt_hash"] == other["prompt_hash"] for one, other in pairs),
        "largest_difference": max((d for one, other in pairs for d in _differences(one, other)), default=None),
        "texts_equal": sum(one["answers"] == other["filtered_resps"] for one, other in pairs)
        if isinstance(pairs[0][0]["answers"][0], str)
        else None,
        "metrics_differ": sum(_metrics_differ(one, other) for one, other in pairs),
        "lm_eval_s": seconds,
    }


def _first_items(path: Path, items: int) -> dict[tuple[str, int, str], dict[str, Any]]:
    """The samples of the first `items` documents of each (sub-)task by task, document and filter."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        samples = [json.loads(line) for line in file]
    return {
        (sample["task"], sample["doc_id"], sample["filter"]): sample for sample in samples if sample["doc_id"] < items
    }


def _differences(one: dict[str, Any], other: dict[str, Any]) -> Iterator[float]:
    """Differences of the log-likelihoods of a request, in nats; nothing for generated texts."""
    for mine, theirs in zip(one["answers"], other["filtered_resps"], strict=True):
        if not isinstance(mine, str):
            first, second = (value[0] if isinstance(value, list) else value for value in (mine, theirs))
            yield abs(float(first) - float(second))


def _metrics_differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a metric of the item differs by more than 1e-4 of its value."""
    return any(not _is_close(one[name], other[name]) for name in one.keys() - _PARTS)


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_is_close(a, b) for a, b in zip(one, other, strict=True))
    return abs(float(one) - float(other)) <= 1e-4 * max(1.0, abs(float(other)))


def _timed(command: list[str], threads: int) -> float:
    start_s = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
    answer = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, errors="replace")
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}")
    return time.perf_counter() - start_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="study file that declares the model")
    parser.add_argument("--model", required=True, help="key of the model")
    parser.add_argument("--levels", default="0", help="pruning percentages (default 0)")
    parser.add_argument("--include-path", help="folder of tasks of your own, as for lm_eval")
    parser.add_argument("--tasks", help="keys of tasks, separated by commas (default: all with a record)")
    parser.add_argument("--items", type=int, default=50, help="first items of each task or subtask (default 50)")
    parser.add_argument("--results-dir", type=Path, required=True, help="folder with the records and their samples")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
