"""Compares a sweep with lm-eval's own: `lm_eval --model hf` on saved pruned checkpoints against `pytest`.

    python benchmarks/side_by_side.py --model karpathy/stories260K --tasks piqa,boolq --levels 0,20,40 --limit 50

Both use the same tasks, weights, samples, batch size and number of threads, and float32 on CPU. lm-eval's time excludes
pruning and saving the checkpoints; pytest's time includes loading, pruning and energy measurement. A task is written
`name[@shots][:limit]`; a task that is not in the study (such as one subject of MMLU) is measured by its accuracy.
lm-eval runs one process per level and few-shot count, pytest one in all. With `--each` every task is timed separately.
Prints one line per comparison, and writes all results to `--output` as JSON. Seconds of the processor are given beside
those of the clock: on a machine with other work only they can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.run.experiment import Experiment
from glu_lib.study import STUDY, ModelVariant, Task, VariantKind
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings
from glu_lib.study.tasks import Metric

ROOT = Path(__file__).resolve().parents[1]
KEY, SUITE = "sidebyside", "compared"


def main() -> None:
    """Time both ways one after the other on the same machine, and compare their scores."""
    options = _options()
    tasks = [_sampled(text, options.limit) for text in options.tasks.split(",")]
    levels = [int(level) for level in options.levels.split(",")]
    groups = [[task] for task in tasks] if options.each else [tasks]
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoints = _save_checkpoints(options, levels, folder)
        for number, group in enumerate(groups):
            place = folder / f"run{number}"
            place.mkdir()
            theirs, own = _lm_eval(options, checkpoints, group, place)
            ours, glu = _pytest(options, levels, group, place)
            difference = max(abs(glu[key] - own[key]) / max(abs(own[key]), 1e-9) for key in own)
            line: dict[str, Any] = {
                "tasks": {sampled.task.key: sampled.limit for sampled in group},
                "lm_eval_s": theirs.clock_s,
                "pytest_s": ours.clock_s,
                "ratio": theirs.clock_s / ours.clock_s,
                "lm_eval_processor_s": theirs.processor_s,
                "pytest_processor_s": ours.processor_s,
                "processor_ratio": theirs.processor_s / ours.processor_s,
                "largest_relative_difference": difference,
                "values": len(own),
            }
            found.append(line)
            print(
                f"{','.join(line['tasks'])}: lm_eval {theirs.clock_s:.1f} s, pytest {ours.clock_s:.1f} s, ratio "
                f"{line['ratio']:.2f}, of processor time {line['processor_ratio']:.2f}, {len(own)} headline values, "
                f"largest relative difference {difference:.1e}",
                flush=True,
            )
    if options.output:
        options.output.write_text(json.dumps({**vars(options), "output": None, "found": found}, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds of the clock, and seconds that all processors worked."""

    clock_s: float = 0.0
    processor_s: float = 0.0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.clock_s + other.clock_s, self.processor_s + other.processor_s)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A task, and the number of samples scored per task (or per part of a group)."""

    task: Task
    limit: int


def _sampled(text: str, limit: int) -> Sampled:
    """Parse `name[@shots][:limit]`."""
    name, _, given = text.partition(":")
    name, _, shots = name.partition("@")
    task = STUDY.tasks.get(name) or Task(name, Metric("acc"))
    return Sampled(replace(task, num_fewshot=int(shots)) if shots else task, int(given) if given else limit)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="hub id or folder")
    parser.add_argument("--tasks", required=True, help="tasks as name[@shots][:limit], separated by commas")
    parser.add_argument("--levels", default="0,20,40", help="pruning percentages (default 0,20,40)")
    parser.add_argument("--limit", type=int, default=20, help="samples per task (default 20)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="time every task separately")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    return parser.parse_args()


def _save_checkpoints(options: argparse.Namespace, levels: Sequence[int], folder: Path) -> dict[int, Path]:
    experiment = Experiment(Settings(folder / "unused", device="cpu", threads=options.threads))
    variant = ModelVariant(KEY, options.model, VariantKind.BASE, tuple(levels))
    paths = {}
    for level in levels:
        paths[level] = folder / f"p{level}"
        with experiment.levels.prepared(variant, Pruning(level)) as prepared:
            prepared.loaded.model.save_pretrained(paths[level])
            prepared.loaded.tokenizer.save_pretrained(paths[level])
    return paths


def _environment(options: argparse.Namespace) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TQDM_DISABLE": "1"}


def _lm_eval(
    options: argparse.Namespace, checkpoints: dict[int, Path], sampled: Sequence[Sampled], place: Path
) -> tuple[Duration, dict[tuple[int, str], float]]:
    """Duration and headline values; a process per level and few-shot count, since a command takes only one count."""
    duration, values = Duration(), {}
    library = TaskLibrary()
    parts = {found.task.key: list(library.load(found.task, seed=0)["tasks"]) for found in sampled}
    by_shots = sorted(sampled, key=lambda found: found.task.num_fewshot)
    for level, path in checkpoints.items():
        for shots, members in groupby(by_shots, lambda found: found.task.num_fewshot):
            group = list(members)
            output = place / f"lm_eval-{level}-{shots}"
            samples = {part: list(range(found.limit)) for found in group for part in parts[found.task.key]}
            command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"]
            command += ["--model_args", f"pretrained={path},dtype=float32", "--samples", json.dumps(samples)]
            command += ["--tasks", ",".join(found.task.lm_eval_name for found in group), "--output_path", str(output)]
            command += ["--batch_size", str(options.batch_size), *(["--num_fewshot", str(shots)] if shots else [])]
            duration += _timed(command, options)
            (report,) = output.rglob("results*.json")
            results = json.loads(report.read_text())["results"]
            for found in group:
                metric = f"{found.task.metric.name},{found.task.metric.filter}"
                values[level, found.task.key] = results[found.task.lm_eval_name][metric]
    return duration, values


def _pytest(
    options: argparse.Namespace, levels: Sequence[int], sampled: Sequence[Sampled], place: Path
) -> tuple[Duration, dict[tuple[int, str], float]]:
    """Duration and headline values of one run."""
    source = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    values = {}
    study, results = place / "study.toml", place / "results"
    study.write_text(study_of(source, levels, sampled))
    command = [sys.executable, "-m", "pytest", "-q", f"--study={study}", f"--results-dir={results}", "-m", SUITE]
    command += ["--batch-size", str(options.batch_size), "--dtype", "float32", "--device", "cpu"]
    command += ["--threads", str(options.threads), "-o", f"cache_dir={place / 'cache'}"]
    duration = _timed(command, options)
    for path in results.glob("individual_files/*/*/*.json"):
        record = json.loads(path.read_text())
        if record["kind"] == "accuracy":  # a model with a known shape has architecture cases as well
            values[record["case"]["percent"], record["case"]["subject"]] = record["score"]["headline"]["value"]
    return duration, values


def study_of(source: str, levels: Sequence[int], sampled: Sequence[Sampled]) -> str:
    """A study file with the model and one suite of the tasks, each with its limit."""
    lines = [f"[models.{KEY}]", f'source = "{source}"', 'kind = "base"', f"levels = {list(levels)}", "suites = []"]
    for found in sampled:
        lines += [f"[tasks.{found.task.key}]", f"num_fewshot = {found.task.num_fewshot}", f"limit = {found.limit}"]
        if found.task.key not in STUDY.tasks:
            lines.append('metric = "acc"')
    return "\n".join([*lines, "[suites]", f"{SUITE} = {json.dumps([found.task.key for found in sampled])}", ""])


def _timed(command: Sequence[str], options: argparse.Namespace) -> Duration:
    start_s, before_s = time.perf_counter(), _processor_s()
    answer = subprocess.run(
        command, check=False, cwd=ROOT, env=_environment(options), capture_output=True, text=True, errors="replace"
    )
    duration = Duration(time.perf_counter() - start_s, _processor_s() - before_s)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}")
    return duration


def _processor_s() -> float:
    """Seconds that the processors worked for the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
