"""Scoring a model in memory with lm-eval: tasks loaded once, every metric and sample kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.embedded import TASKS_DIR
from glu_lib.errors import AccessError, MeasurementError, StudyError
from glu_lib.settings import Scorer
from glu_lib.study import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from glu_lib.overflow import CountingHFLM

BOOTSTRAP_ITERATIONS = 1000
_STDERR = "_stderr"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number lm-eval reports: of which (sub-)task, metric and filter; stderr None where it has none."""

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one task gave: the headline value, every value, every sample.

    `count` is the number of samples scored, `expected` the number asked for. `truncated_prompts` and
    `cut_generations` are requests that did not fit, `batch_size` is what fitted into memory. `results`
    and `raw_samples` are lm-eval's own, for its own files.
    """

    headline: MetricValue
    metrics: tuple[MetricValue, ...]
    samples: tuple[dict[str, Any], ...]
    count: int
    expected: int
    task_versions: dict[str, str]
    truncated_prompts: int
    cut_generations: int
    batch_size: int
    results: dict[str, Any] = field(repr=False, compare=False)
    raw_samples: dict[str, list[dict[str, Any]]] = field(repr=False, compare=False)


@dataclass(slots=True)
class TaskLibrary:
    """lm-eval's tasks, indexed and loaded once per process and used again at every level."""

    _managers: dict[bool, Any] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)

    def load(self, task: Task, *, seed: int) -> Any:
        """lm-eval's task dictionary for `task`, with its few-shot count and seed set.

        Raises:
            AccessError: if its data cannot be had; one line that names cause and remedy.
        """
        if task.key not in self._loaded:
            import lm_eval.evaluator  # noqa: F401  (seconds: here, outside every energy window)

            try:
                loaded = self._manager(task.embedded).load([task.lm_eval_name])
            except (OSError, ValueError, KeyError) as error:
                first_line = next(iter(str(error).splitlines()), "")
                raise AccessError(
                    f"task {task.key}: its data cannot be loaded ({type(error).__name__}: {first_line}); "
                    "check the connection, or load it once where there is one and keep the data set cache"
                ) from error
            for lm_eval_task in loaded["tasks"].values():
                # A task whose own configuration says 0 stays at 0: lm-eval's rule.
                if lm_eval_task.get_config("num_fewshot") != 0:
                    lm_eval_task.set_config(key="num_fewshot", value=task.num_fewshot)
                lm_eval_task.set_fewshot_seed(seed=seed)
            self._loaded[task.key] = loaded
        return self._loaded[task.key]

    def check_known(self, task: Task) -> None:
        """Look `task` up in lm-eval's index without loading its data.

        Raises:
            StudyError: if lm-eval does not have it.
        """
        if task.lm_eval_name not in self._manager(task.embedded).all_tasks:
            raise StudyError(
                f"task {task.key}: lm-eval has no task {task.lm_eval_name!r}; `lm_eval ls tasks` shows what there is"
            )

    def _manager(self, embedded: bool) -> Any:
        """lm-eval's index: of the package's own tasks in milliseconds, of all its own in seconds."""
        if embedded not in self._managers:
            from lm_eval.tasks import TaskManager

            self._managers[embedded] = (
                TaskManager(include_path=str(TASKS_DIR), include_defaults=False) if embedded else TaskManager()
            )
        return self._managers[embedded]


def task_data_digest(task: Task) -> str | None:
    """SHA-256 of an embedded task's definition and items; None for lm-eval's own (its version stands for them)."""
    if not task.embedded:
        return None
    digest = hashlib.sha256()
    for path in _embedded_files(task):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _embedded_files(task: Task) -> Iterator[Path]:
    yield TASKS_DIR / f"{task.lm_eval_name}.yaml"
    yield TASKS_DIR / f"{task.key}.jsonl"


def wrap_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, batch_size: int, scorer: Scorer = Scorer.FAST
) -> CountingHFLM:
    """The lm-eval model around a model in memory, on the model's own device.

    `fast` shares prefixes; `hf` is lm-eval's `HFLM`. Both count what does not fit.
    """
    if scorer is Scorer.FAST:
        from glu_lib.scoring.language_model import SharedPrefixLM

        return SharedPrefixLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    from glu_lib.overflow import CountingHFLM

    return CountingHFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)


def evaluate_task(
    lm: CountingHFLM, library: TaskLibrary, task: Task, *, seed: int, limit: int | None, chat_template: bool
) -> Evaluation:
    """Score `task` with lm-eval and keep all it reports.

    Args:
        lm: the wrapped model.
        library: where loaded tasks are kept.
        task: what to score.
        seed: of few-shot sampling, and of Python, NumPy and torch, set anew for each task so that a
            result does not depend on what ran before.
        limit: samples per (sub-)task, None for all.
        chat_template: apply the tokenizer's template, few-shot examples as turns.

    Raises:
        AccessError: if the task's data cannot be had.
        MeasurementError: if lm-eval reports no headline metric.
    """
    loaded = library.load(task, seed=seed)
    _check_room(lm, task, loaded)
    results = _evaluate_smaller_if_needed(lm, task, loaded, seed, limit, chat_template)
    raw_samples = results.pop("samples")
    metrics = tuple(_metric_values(results))
    samples = tuple(_compact(name, sample) for name, found in raw_samples.items() for sample in found)
    return Evaluation(
        headline=_headline(task, metrics),
        metrics=metrics,
        samples=samples,
        count=len({(sample["task"], sample["doc_id"]) for sample in samples}),
        expected=sum(counts["effective"] for counts in results["n-samples"].values()),
        task_versions={name: str(version) for name, version in results["versions"].items()},
        truncated_prompts=lm.truncated_prompts,
        cut_generations=lm.cut_generations,
        batch_size=lm.batch_size,
        results=results,
        raw_samples=raw_samples,
    )


def _evaluate_smaller_if_needed(
    lm: CountingHFLM, task: Task, loaded: Any, seed: int, limit: int | None, chat_template: bool
) -> dict[str, Any]:
    """Run lm-eval; when the batch does not fit into memory, halve it and score the task again.

    The smaller batch stays for the tasks that follow on this model: what did not fit once will not
    fit the next time.
    """
    import torch
    from lm_eval.evaluator import evaluate

    from glu_lib.environment import seed_everything
    from glu_lib.models import release_memory

    while True:
        seed_everything(seed)
        lm.reset_counts()
        try:
            results: dict[str, Any] = evaluate(
                lm=lm,
                task_dict=loaded,
                limit=limit,
                bootstrap_iters=BOOTSTRAP_ITERATIONS,
                log_samples=True,
                apply_chat_template=chat_template,
                fewshot_as_multiturn=chat_template,
            )
        except torch.OutOfMemoryError as error:
            if lm.batch_size == 1:
                raise MeasurementError(
                    f"task {task.key}: out of memory with one sequence at a time; "
                    "choose a GPU with more memory, a 16-bit --dtype, or a smaller model"
                ) from error
        else:
            return results
        lm.batch_size_per_gpu = lm.batch_size // 2
        release_memory()


def _check_room(lm: CountingHFLM, task: Task, loaded: Any) -> None:
    """A generation task must leave room for a prompt in the model's context.

    Raises:
        MeasurementError: if its answers alone fill the context.
    """
    for lm_eval_task in loaded["tasks"].values():
        wanted = (lm_eval_task.get_config("generation_kwargs") or {}).get("max_gen_toks", lm.max_gen_toks)
        if lm_eval_task.get_config("output_type") == "generate_until" and wanted >= lm.max_length:
            raise MeasurementError(
                f"task {task.key}: its answers may take {wanted} tokens, the model's context holds {lm.max_length}; "
                "leave the task out for this model"
            )


def _metric_values(results: dict[str, Any]) -> Iterator[MetricValue]:
    """Flatten lm-eval's `{task: {'acc,none': value, 'acc_stderr,none': stderr}}`, groups included."""
    tables = {**results["results"], **results.get("groups", {})}
    for name, row in tables.items():
        for label, value in row.items():
            metric, _, filter_name = label.partition(",")
            if not filter_name or metric.endswith(_STDERR) or not isinstance(value, int | float):
                continue
            stderr = row.get(f"{metric}{_STDERR},{filter_name}")
            yield MetricValue(
                task=name,
                metric=metric,
                filter=filter_name,
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, int | float) else None,
                count=_count(results, name),
            )


def _count(results: dict[str, Any], name: str) -> int:
    counts = results["n-samples"]
    members = results.get("group_subtasks", {}).get(name) or [name]
    return sum(counts[member]["effective"] if member in counts else _count(results, member) for member in members)


def _headline(task: Task, metrics: tuple[MetricValue, ...]) -> MetricValue:
    for value in metrics:
        if (value.task, value.metric, value.filter) == (
            task.lm_eval_name,
            task.metric.name,
            task.metric.filter,
        ):
            return value
    found = ", ".join(sorted({f"{value.metric},{value.filter}" for value in metrics}))
    raise MeasurementError(
        f"task {task.key}: lm-eval reports no {task.metric.label}; it reports {found}: correct the study's metric"
    )


def _compact(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    """What pairing and auditing need of a sample; the prompt is named by its hash."""
    kept = {"task": task, "doc_id": sample["doc_id"], "filter": sample["filter"]}
    kept |= {name: sample[name] for name in sample["metrics"]}
    kept["target"] = sample["target"]
    kept["answers"] = sample["filtered_resps"]
    return kept | {name: sample[name] for name in ("doc_hash", "prompt_hash", "target_hash")}
