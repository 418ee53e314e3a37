"""Tables of a study file as parts of a study: a model with its shape, a task, a workload, a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import study_fields
from glu_lib.study.architecture import Architecture
from glu_lib.study.checked_fields import (
    check_fields,
    check_texts,
    choice,
    divisors_of,
    layer_sets_of,
    levels_of,
    whole_numbers,
)
from glu_lib.study.schema import Study, Suite
from glu_lib.study.tasks import Metric, PromptFormat, Task
from glu_lib.study.variants import ModelVariant, VariantKind
from glu_lib.study.workloads import AnyWorkload, Saturation, Workload


def model_of(key: str, table: Any, base: Study) -> ModelVariant:
    """A new model, or one of `base` with the fields that the table changes.

    A new model's table has its levels and its kind (`model_defaults.with_defaults`).

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    place = f"[models.{key}]"
    check_fields(place, table, study_fields.MODEL)
    values: dict[str, Any] = {name: table[name] for name in ("source", "revision", "gguf", "baseline") if name in table}
    if "levels" in table:
        values["levels"] = levels_of(place, table["levels"])
    if "level" in table:
        (values["level"],) = levels_of(place, [table["level"]])
    if "layers" in table:
        values["layers"] = layer_sets_of(place, table)
    if "kind" in table:
        values["kind"] = choice(place, "kind", table["kind"], VariantKind)
    if "architecture" in table:
        values["architecture"] = _shape(key, table["architecture"])
    if key in base.models:
        # The base study's shape may be wrong for weights from another source.
        if table.get("source", base.models[key].source) != base.models[key].source:
            values.setdefault("architecture", None)
            values.setdefault("gguf", None)
        if "baseline" in table:
            values.setdefault("levels", (0,))
        return replace(base.models[key], **values)
    if "source" not in table:
        raise StudyError(f"{place} lacks source; a new model needs a hub id or a folder")
    return ModelVariant(key, **values)


def _shape(key: str, table: Any) -> Architecture:
    """The declared shape of a model: gives its widths before loading, and is required for `--weights random`."""
    place = f"[models.{key}.architecture]"
    check_fields(place, table, study_fields.SHAPE)
    for name in study_fields.SHAPE:
        if name not in table and name != "rms_norm_eps":
            raise StudyError(
                f"{place} lacks {name}; a shape needs all of {', '.join(study_fields.SHAPE)} except rms_norm_eps"
            )
    for name, value in table.items():
        if value <= 0 and not isinstance(value, bool):
            raise StudyError(f"{place}: {name} is {value}; it must be more than 0")
    for name, unit in (("hidden_size", "num_heads"), ("num_heads", "num_kv_heads"), ("head_dim", None)):
        divisor = table[unit] if unit else 2
        if table[name] % divisor:
            raise StudyError(
                f"{place}: {name} {table[name]} must be a multiple of {f'{unit} ' if unit else ''}{divisor}"
            )
    return Architecture(**table)


def task_of(key: str, table: Any, base: Study) -> Task:
    """A new task, or one of `base` with the fields that the table changes.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    place = f"[tasks.{key}]"
    check_fields(place, table, study_fields.TASK)
    names = ("num_fewshot", "slow", "limit", "window")
    values: dict[str, Any] = {name: table[name] for name in names if name in table}
    if "task" in table:
        values["lm_eval_name"] = table["task"]
        values["embedded"] = any(task.embedded and task.lm_eval_name == table["task"] for task in base.tasks.values())
    if "prompt_format" in table:
        values["prompt_format"] = choice(place, "prompt_format", table["prompt_format"], PromptFormat)
    known = base.tasks.get(key)
    if known and known.embedded and table.get("task", known.lm_eval_name) != known.lm_eval_name:
        raise StudyError(
            f"{place}: task is {table['task']!r}; {key} ships with the package and always means {known.lm_eval_name}: "
            "use another key for another task"
        )
    if known and values.get("prompt_format", known.prompt_format) is not known.prompt_format:
        asked = values["prompt_format"]
        raise StudyError(
            f"{place}: the prompt format of {key} is {known.prompt_format} and cannot change, so that a key means one "
            f'format; add a task for the {asked} format: [tasks.{key}_{asked}] with task = "{known.lm_eval_name}"'
        )
    if known is None and "metric" not in table:
        raise StudyError(f'{place} lacks metric; a new task needs a headline metric, such as "acc_norm"')
    if "metric" in table:
        name, _, filter_name = table["metric"].partition(",")
        values["metric"] = Metric(name, filter_name or "none")
    metric = values.get("metric", known.metric if known else Metric("acc"))
    meaning = {name: table[name] for name in ("higher_is_better", "chance") if name in table}
    if known and metric.label == known.metric.label:
        metric = known.metric
    values["metric"] = replace(metric, **meaning)
    return replace(known, **values) if known else Task(key, **values)


def workload_of(key: str, table: Any, base: Study) -> AnyWorkload:
    """A new workload, or one of `base` with the fields that the table changes.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    place = f"[workloads.{key}]"
    check_fields(place, table, study_fields.WORKLOAD)
    values = dict(table)
    if "seeds" in values:
        values["seeds"] = tuple(whole_numbers(place, "seeds", values["seeds"]))
    known = base.workloads.get(key)
    kind = type(known) if known else Saturation if "max_batch" in table else Workload
    own = [field.name for field in fields(kind)]
    for name in table:
        if name not in own:
            other = "one batch size" if kind is Workload else "a batch that doubles"
            raise StudyError(f"{place}: {name} does not go with {other}; leave it out, or choose another key")
    if known:
        return replace(known, **values)
    if "prompts" not in table and "prompt_tokens" not in table:
        raise StudyError(f"{place} lacks prompts; name a task, or give prompt_tokens for prompts of random tokens")
    needed = ("new_tokens", "max_batch") if kind is Saturation else ("num_prompts", "new_tokens", "batch_size")
    for name in needed:
        if name not in table:
            raise StudyError(f"{place} lacks {name}; a new workload needs {', '.join(needed)}")
    return kind(key, values.pop("prompts", None), **values)


def suite_of(
    key: str, table: Any, models: Mapping[str, ModelVariant], tasks: Mapping[str, Task], data: dict[str, Any]
) -> Suite:
    """A suite, given as a list of tasks or workloads, or as a table that may also name models.

    By default a suite runs on the file's own models, or on all hub models if the file declares no models.

    Raises:
        StudyError: one line with place, value, rule and remedy.
    """
    place = f"[suites] {key}"
    if isinstance(table, list):
        check_texts(place, "the list", table)
    elif not isinstance(table, dict):
        raise StudyError(f"{place} is {table!r}; it must be a list of tasks or a table")
    table = (
        {
            "tasks": [name for name in table if name in tasks or name not in data.get("workloads", {})],
            "workloads": [name for name in table if name not in tasks and name in data.get("workloads", {})],
        }
        if isinstance(table, list)
        else table
    )
    check_fields(place, table, study_fields.SUITE)
    own = list(data.get("models", {})) or [model.key for model in models.values() if not model.is_embedded]
    return Suite(
        key,
        table.get("description", "from the study file"),
        models=tuple(table.get("models", own)),
        tasks=tuple(table.get("tasks", ())),
        workloads=tuple(table.get("workloads", ())),
        divisors=divisors_of(place, table),
    )
