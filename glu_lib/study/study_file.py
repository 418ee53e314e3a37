"""Read a user's study file (TOML), which adds to the built-in study or replaces parts of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import study_fields
from glu_lib.study.checked_fields import check_fields, check_values, choice, divisors_of, layer_sets_of
from glu_lib.study.choices import Choices
from glu_lib.study.keys import unknown
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection
from glu_lib.study.model_defaults import with_defaults
from glu_lib.study.schema import Study, Suite
from glu_lib.study.settings import check_divisor
from glu_lib.study.study_tables import model_of, suite_of, task_of, workload_of
from glu_lib.study.variants import ModelVariant, VariantKind
from glu_lib.study.workloads import LayerScan

# The default suites of a model from a study file.
_SUITES_OF = {
    VariantKind.BASE: ("paper", "core", "carbon", "layers"),
    VariantKind.INSTRUCT: ("instruct", "chat", "core", "carbon", "layers"),
}


@dataclass(frozen=True, slots=True)
class StudyFile:
    """The study of a file, with the methods and divisors that the file sets (empty: the defaults).

    `notes` are lines on what the file left open and the suite decided.
    """

    study: Study
    methods: tuple[Selection, ...] = ()
    divisors: tuple[int, ...] = ()
    layers: tuple[Layers | None, ...] = ()
    percent_of: PercentOf | None = None
    notes: tuple[str, ...] = ()

    def choices(
        self,
        *,
        methods: Sequence[str] | None = None,
        divisors: Sequence[int] | None = None,
        layers: Sequence[str] | None = None,
        percent_of: str | None = None,
    ) -> Choices:
        """The arguments of `build_cases` after the study: what the user names, else what the file sets.

        The size of a weight is added by who knows the dtype.

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
    data, notes = _completed(data, base)
    tasks = dict(base.tasks) | {key: task_of(key, table, base) for key, table in data.get("tasks", {}).items()}
    workloads = dict(base.workloads)
    workloads |= {key: workload_of(key, table, base) for key, table in data.get("workloads", {}).items()}
    models = dict(base.models) | {key: model_of(key, table, base) for key, table in data.get("models", {}).items()}
    own = {key: suite_of(key, table, models, tasks, data) for key, table in data.get("suites", {}).items()}
    suites = _join(dict(base.suites) | own, data.get("models", {}), models, base, own)
    has_controls = data.get("controls", base.has_controls)
    scan = LayerScan(data["scan_level"]) if "scan_level" in data else base.scan
    study = Study(models, tasks, workloads, suites, has_controls=has_controls, scan=scan)
    _check_reachable(study, data)
    return StudyFile(
        study,
        tuple(_selections(map(str, data.get("methods", ())))),
        divisors_of("top level", data),
        layer_sets_of("top level", data),
        choice("top level", "percent_of", data["percent_of"], PercentOf) if "percent_of" in data else None,
        notes,
    )


def _completed(data: dict[str, Any], base: Study) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The data with the defaults of its new models, and the lines on what was decided."""
    models, notes = dict(data.get("models", {})), list[str]()
    kinds = {key: model.kind for key, model in base.models.items()}
    for key, table in _baselines_first(models):
        if key not in base.models and isinstance(table, dict):
            models[key], lines = with_defaults(key, table, kinds)
            notes += lines
        if isinstance(table, dict) and (kind := models[key].get("kind")) in list(VariantKind):
            kinds[key] = VariantKind(kind)
    return data | ({"models": models} if models else {}), tuple(notes)


def _baselines_first(tables: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The tables of models, those with a baseline last: they take from it what they leave open."""
    return sorted(tables.items(), key=lambda item: isinstance(item[1], dict) and "baseline" in item[1])


def _selections(names: Iterable[str]) -> Iterator[Selection]:
    for name in names:
        yield from Selection.parse(name)


def _join(
    suites: Mapping[str, Suite],
    tables: Mapping[str, Any],
    models: Mapping[str, ModelVariant],
    base: Study,
    own: Mapping[str, Suite],
) -> dict[str, Suite]:
    """Add the file's models to the suites that their tables name, and remove them from all others.

    Suites that the file declares keep the models that they name. A checkpoint runs the suites of its baseline by
    default.
    """
    named = {name: frozenset(suites[name].models) for name in own}
    moved: dict[str, frozenset[str]] = {}
    for key, table in _baselines_first(tables):
        if key in base.models and "suites" not in table:
            continue
        wanted = table.get("suites", _default_suites(models[key], suites, moved))
        for name in wanted:
            if name not in suites:
                raise StudyError(f"[models.{key}] suites: {unknown('suite', name, suites)}")
        moved[key] = frozenset(wanted) | {name for name, members in named.items() if key in members}
    joined = {}
    for name, suite in suites.items():
        others = [model for model in suite.models if model not in moved]
        joined[name] = replace(suite, models=(*others, *(key for key, names in moved.items() if name in names)))
    return joined


def _default_suites(
    model: ModelVariant, suites: Mapping[str, Suite], moved: Mapping[str, frozenset[str]]
) -> Iterable[str]:
    """The suites of a model's kind, or those of its baseline, which `moved` holds if the file has moved it."""
    if model.baseline is None:
        return _SUITES_OF[model.kind]
    if model.baseline in moved:
        return sorted(moved[model.baseline])
    return tuple(key for key, suite in suites.items() if model.baseline in suite.models)


def _check_reachable(study: Study, data: dict[str, Any]) -> None:
    """Refuse a task or workload that is in no suite, because it would never run."""
    listed = {
        name for suite in study.suites.values() for name in (*suite.tasks, *suite.instruct_tasks, *suite.workloads)
    }
    for kind in ("tasks", "workloads"):
        for key in data.get(kind, {}):
            if key not in listed:
                raise StudyError(f'[{kind}.{key}] is in no suite; add it to one, for example [suites] mine = ["{key}"]')
