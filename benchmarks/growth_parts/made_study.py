"""A study of many models without weights, and made records of its cases, sealed and with samples."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from glu_lib.results.record import build_record
from glu_lib.results.records import EnergyWindow
from glu_lib.run.experiment import Experiment
from glu_lib.study import Task, load_study
from glu_lib.study.builtin import STUDY
from glu_lib.study.cases import Case, build_cases
from glu_lib.study.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (0, 10, 20, 30, 40)
TASKS = ("boolq", "piqa", "hellaswag", "winogrande", "arc_easy", "arc_challenge", "openbookqa", "rte", "sst2")
CASES_PER_MODEL = len(LEVELS) * (len(TASKS) + 1)  # with the architecture
SUITE = "grown"
_ITEMS = 50
_COMMITTED = ROOT / "results/measured/nano"
_CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def write_study(folder: Path, cases: int) -> Path:
    """Write a study file of `cases` cases, and a folder with a configuration for each model; return the file.

    The models' parameters are spread evenly over a factor of a hundred, on a log scale, as those of real families are.
    """
    count = cases // CASES_PER_MODEL
    lines = []
    for number in range(count):
        source = folder / "models" / f"m{number:05d}x"
        source.mkdir(parents=True)
        config = _CONFIG | {"vocab_size": round(1000 * 100 ** (number / count))}
        (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
        lines += [f"[models.{source.name}]", f"source = {json.dumps(str(source))}", 'kind = "base"']
        lines += [f"levels = {list(LEVELS)}", f'suites = ["{SUITE}"]', ""]
    keys = [f"m{number:05d}x" for number in range(count)]
    lines += [f"[suites.{SUITE}]", f"tasks = {json.dumps(TASKS)}", f"models = {json.dumps(keys)}", ""]
    path = folder / "study.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def experiment_of(study: Path, results_dir: Path) -> Experiment:
    """A run's experiment on a study file, on the CPU."""
    return Experiment(Settings(results_dir=results_dir, device="cpu"), study=load_study(study, STUDY).study)


def grown_cases(experiment: Experiment) -> list[Case]:
    """The cases of the made study, without those of the built-in one."""
    return [case for case in build_cases(experiment.study) if SUITE in case.suites]


def write_records(experiment: Experiment, cases: list[Case]) -> None:
    """Write a record of each case, as the suite's recorder does: sealed, synced and renamed, with its samples."""
    environment = experiment.environment.as_dict()
    experiment.store.check_writable()
    for case in cases:
        key = experiment.states.done_key(case)
        parts: dict[str, Any] = {"timing": _committed(0)["timing"]}
        samples: list[dict[str, Any]] = []
        if isinstance(case.subject, Task):
            samples = list(_samples(case, case.subject))
            parts = _measured(case.subject, samples)
        record = build_record(case, key, environment, _pruning(case), **parts)
        experiment.store.write(experiment.states.address(case), record, samples)


@cache
def _committed(percent: int) -> dict[str, Any]:
    path = _COMMITTED / f"individual_files/nano/p{percent}/nano-p{percent}-facts.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def _lines() -> list[dict[str, Any]]:
    data = (_COMMITTED / "samples/nano/p0/nano-p0-facts.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).splitlines()[:_ITEMS]]


def _samples(case: Case, task: Task) -> Iterator[dict[str, Any]]:
    """Samples whose scores fall with the level; the same documents at each level of a task."""
    chance = random.Random(case.id)
    for line in _lines():
        rest = {name: value for name, value in line.items() if name not in ("acc", "task")}
        is_right = chance.random() < 0.9 - case.pruning.percent / 100
        yield {"task": task.lm_eval_name, **rest, task.metric.name: float(is_right)}


def _measured(task: Task, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """The measured parts of a record, of a committed one but for its score."""
    template = _committed(40)
    value = sum(sample[task.metric.name] for sample in samples) / len(samples)
    found = {
        "task": task.lm_eval_name,
        "metric": task.metric.name,
        "filter": "none",
        "value": value,
        "stderr": (value * (1 - value) / (len(samples) - 1)) ** 0.5,
        "count": len(samples),
        "is_collapsed": False,
        "log_value": None,
    }
    headline = found | {
        "label": task.metric.label,
        "higher_is_better": task.metric.higher_is_better,
        "chance": task.metric.chance,
    }
    score = template["score"] | {"headline": headline, "metrics": [found], "task_versions": {task.lm_eval_name: "1.0"}}
    energy = EnergyWindow.model_validate(template["energy"] | {"total_j": None, "total_reason": "not measured"})
    names = ("timing", "conditions", "runtime", "resumed", "memory")
    return {"score": score, "energy": energy.as_json(), **{name: template[name] for name in names}}


def _pruning(case: Case) -> dict[str, Any]:
    shape = case.model.architecture
    assert shape is not None
    widths = list(case.pruning.widths(shape.intermediate_size, shape.num_layers))
    width = widths[0]
    template: dict[str, Any] = _committed(40 if case.pruning.percent else 0)["pruning"]
    return template | {
        "percent": case.pruning.percent,
        "hidden_size": shape.hidden_size,
        "unpruned_width": shape.intermediate_size,
        "asked_width": width,
        "width": width,
        "widths": widths,
        "expansion_ratio": width / shape.hidden_size,
        **{f"width_mod_{divisor}": width % divisor for divisor in (8, 64, 128)},
        "parameters": shape.parameters(widths),
        "unpruned_parameters": shape.parameters(),
    }
