"""Read a user's study file (TOML), which adds to the built-in study or replaces parts of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import study_fields
from glu_lib.study.architecture import Architecture
from glu_lib.study.checked_fields import check_fields, check_texts, check_values, choice, whole_numbers
from glu_lib.study.choices import Choices
from glu_lib.study.keys import unknown
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection
from glu_lib.study.schema import Study, Suite
from glu_lib.study.settings import DIVISORS, check_divisor
from glu_lib.study.tasks import Metric, PromptFormat, Task
from glu_lib.study.variants import ModelVariant, VariantKind
from glu_lib.study.workloads import LayerScan, Workload

# The default suites of a model from a study file.
_SUITES_OF = {
    VariantKind.BASE: ("paper", "core", "carbon", "layers"),
    VariantKind.INSTRUCT: ("instruct", "chat", "core", "carbon", "layers"),
}


@dataclass(frozen=True, slots=True)
class StudyFile:
    """The study of a file, with the methods and divisors that the file sets (empty: the defaults)."""

    study: Study
    methods: tuple[Selection, ...] = ()
    divisors: tuple[int, ...] = ()
    layers: tuple[Layers | None, ...] = ()
    percent_of: PercentOf | None = None

    def choices(
        self,
        *,
        methods: Sequence[str] | None = None,
        divisors: Sequence[int] | None = None,
        layers: Sequence[str] | None = None,
        percent_of: str | None = None,
    ) -> Choices:
        """The arguments of `build_cases` after the study: what the user names, else what the file sets.

        Raises:
            StudyError: for an unknown method, a wrong layer set, or a score file that cannot be read.
            SettingsError: for a divisor that OptiPFair does not support.
        """
        return Choices(
            tuple(_selections(methods or ())) or self.methods or (Selection(),),
            tuple(map(check_divisor, divisors or self.divisors)) or (None,),
            tuple(map(Layers.parse, layers or ())) or self.layers or (None,),
            PercentOf(percent_of) if percent_of else self.percent_of or PercentOf.LAYER,
        )


def load_study(path: Path, base: Study) -> StudyFile:
    """Read a study file and apply it to `base`. The file is only data: no code in it is run.

    Raises:
        StudyError: one line with file, place, value, rule and remedy.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"study file {path}: cannot be read ({error}); name a TOML file") from error
    except (ValueError, RecursionError) as error:  # a TOML error, a too long integer, too many nested brackets
        raise StudyError(f"study file {path}: not valid TOML ({error}); correct that line") from error
    try:
        check_values("top level", data)
        return _build(data, base)
    except StudyError as error:
        raise StudyError(f"study file {path}: {error}") from error


def _build(data: dict[str, Any], base: Study) -> StudyFile:
    check_fields("top level", data, study_fields.TOP)
    tasks = dict(base.tasks) | {key: _task(key, table, base) for key, table in data.get("tasks", {}).items()}
    workloads = dict(base.workloads)
    workloads |= {key: _workload(key, table, base) for key, table in data.get("workloads", {}).items()}
    models = dict(base.models) | {key: _model(key, table, base) for key, table in data.get("models", {}).items()}
    own = {key: _suite(key, table, models, tasks, data) for key, table in data.get("suites", {}).items()}
    suites = _join(dict(base.suites) | own, data.get("models", {}), models, base, own)
    has_controls = data.get("controls", base.has_controls)
    scan = LayerScan(data["scan_level"]) if "scan_level" in data else base.scan
    study = Study(models, tasks, workloads, suites, has_controls=has_controls, scan=scan)
    _check_reachable(study, data)
    return StudyFile(
        study,
        tuple(_selections(map(str, data.get("methods", ())))),
        _divisors("top level", data),
        _layers("top level", data),
        choice("top level", "percent_of", data["percent_of"], PercentOf) if "percent_of" in data else None,
    )


def _selections(names: Iterable[str]) -> Iterator[Selection]:
    for name in names:
        yield from Selection.parse(name)


def _layers(place: str, table: Mapping[str, Any]) -> tuple[Layers | None, ...]:
    found = table.get("layers", [])
    check_texts(place, "layers", found)
    try:
        return tuple(map(Layers.parse, found))
    except StudyError as error:
        raise StudyError(f"{place}: {error}") from error


def _divisors(place: str, table: Mapping[str, Any]) -> tuple[int, ...]:
    divisors = tuple(whole_numbers(place, "divisors", table.get("divisors", [])))
    for divisor in divisors:
        if divisor not in DIVISORS:
            raise StudyError(f"{place}: divisors hold {divisor}; choose from {', '.join(map(str, DIVISORS))}")
    return divisors


def _model(key: str, table: Any, base: Study) -> ModelVariant:
    place = f"[models.{key}]"
    check_fields(place, table, study_fields.MODEL)
    values: dict[str, Any] = {name: table[name] for name in ("source", "revision") if name in table}
    if "levels" in table:
        values["levels"] = tuple(whole_numbers(place, "levels", table["levels"]))
    if "layers" in table:
        values["layers"] = _layers(place, table)
    if "kind" in table:
        values["kind"] = choice(place, "kind", table["kind"], VariantKind)
    if "architecture" in table:
        values["architecture"] = _shape(key, table["architecture"])
    if key in base.models:
        # The base study's shape may be wrong for weights from another source.
        if table.get("source", base.models[key].source) != base.models[key].source:
            values.setdefault("architecture", None)
        return replace(base.models[key], **values)
    for name in ("source", "kind", "levels"):
        if name not in table:
            raise StudyError(f"{place} lacks {name}; a new model needs source, kind and levels")
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


def _task(key: str, table: Any, base: Study) -> Task:
    place = f"[tasks.{key}]"
    check_fields(place, table, study_fields.TASK)
    values: dict[str, Any] = {name: table[name] for name in ("num_fewshot", "slow") if name in table}
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


def _workload(key: str, table: Any, base: Study) -> Workload:
    place = f"[workloads.{key}]"
    check_fields(place, table, study_fields.WORKLOAD)
    values = dict(table)
    if "seeds" in values:
        values["seeds"] = tuple(whole_numbers(place, "seeds", values["seeds"]))
    if key in base.workloads:
        return replace(base.workloads[key], **values)
    if "prompts" not in table and "prompt_tokens" not in table:
        raise StudyError(f"{place} lacks prompts; name a task, or give prompt_tokens for prompts of random tokens")
    for name in ("num_prompts", "new_tokens", "batch_size"):
        if name not in table:
            raise StudyError(f"{place} lacks {name}; a new workload needs num_prompts, new_tokens, batch_size")
    return Workload(key, values.pop("prompts", None), **values)


def _suite(
    key: str, table: Any, models: Mapping[str, ModelVariant], tasks: Mapping[str, Task], data: dict[str, Any]
) -> Suite:
    """A suite, given as a list of tasks or workloads, or as a table that may also name models.

    By default a suite runs on the file's own models, or on all hub models if the file declares no models.
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
        divisors=_divisors(place, table),
    )


def _join(
    suites: Mapping[str, Suite],
    tables: Mapping[str, Any],
    models: Mapping[str, ModelVariant],
    base: Study,
    own: Mapping[str, Suite],
) -> dict[str, Suite]:
    """Add the file's models to the suites that their tables name, and remove them from all others.

    Suites that the file declares keep the models that they name.
    """
    joined = dict(suites)
    for key, table in tables.items():
        if key in base.models and "suites" not in table:
            continue
        wanted = table.get("suites", _SUITES_OF[models[key].kind])
        for name in wanted:
            if name not in joined:
                raise StudyError(f"[models.{key}] suites: {unknown('suite', name, joined)}")
        for name, suite in joined.items():
            others = tuple(model for model in suite.models if model != key)
            is_in = name in wanted or (name in own and key in suite.models)
            joined[name] = replace(suite, models=(*others, key) if is_in else others)
    return joined


def _check_reachable(study: Study, data: dict[str, Any]) -> None:
    """Refuse a task or workload that is in no suite, because it would never run."""
    listed = {
        name for suite in study.suites.values() for name in (*suite.tasks, *suite.instruct_tasks, *suite.workloads)
    }
    for kind in ("tasks", "workloads"):
        for key in data.get(kind, {}):
            if key not in listed:
                raise StudyError(f'[{kind}.{key}] is in no suite; add it to one, for example [suites] mine = ["{key}"]')
