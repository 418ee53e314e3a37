"""The cases of a study: (model variant, pruning, subject) with ids, suites and order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

from glu_lib.errors import StudyError
from glu_lib.study import AnyWorkload, Control, Method, ModelVariant, Study, Suite, Task, VariantKind
from glu_lib.study.asked import Asked, level_key
from glu_lib.study.case_kinds import ENERGY_KINDS, Subject, kind_of
from glu_lib.study.case_kinds import CaseKind as CaseKind
from glu_lib.study.choices import Choices
from glu_lib.study.layers import Layers, PercentOf, distinct
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning
from glu_lib.study.selection import ARCHITECTURE, hidden_in, same_ids

STAR_RATIO = 2.4
_STAR_TOLERANCE = 0.05  # 2.4x as printed: 1B at 40 % is 2.4004, 3B at 10 % is 2.4001
_GPU_PARAMETERS = 500_000_000  # above this a CPU run takes days: the case is marked gpu


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a model variant at one pruning level, on a task, a workload or its architecture alone."""

    model: ModelVariant
    pruning: Pruning
    subject: Subject
    suites: tuple[str, ...] = ()

    @property
    def kind(self) -> CaseKind:
        """What the case measures."""
        return kind_of(self.subject)

    @property
    def subject_key(self) -> str:
        """Key of the task or workload, `architecture` or `layer_scan`."""
        return self.subject if isinstance(self.subject, str) else self.subject.key

    @property
    def loaded(self) -> Pruning:
        """The level whose loaded model the case uses: a layer scan prunes the unpruned model's layers itself."""
        return Pruning(0) if self.kind is CaseKind.LAYERS else self.pruning

    @property
    def group(self) -> str:
        """Key of the (model, level) whose loaded model the case uses: `nano-p40`."""
        return f"{self.model.key}-{self.loaded.key}"

    @property
    def id(self) -> str:
        """The pytest id: `nano-p40-sums`."""
        return f"{self.model.key}-{self.pruning.key}-{self.subject_key}"

    def check_fits(self) -> None:
        """Check that the model's declared shape has the pruned layers, and that each can lose so much.

        A level that asks for something else than a percentage needs a declared shape.

        Raises:
            StudyError: one line with the model's key.
        """
        shape = self.model.architecture
        try:
            self.pruning.check_possible()
            if shape is not None:
                self.pruning.widths(shape.intermediate_size, shape.num_layers)
        except StudyError as error:
            raise StudyError(f"model {self.model.key}, level {self.pruning.key}: {error}") from error

    def limited(self, limit: int | None) -> int | None:
        """The run's sample limit; None for an architecture case, which has no samples."""
        return None if self.kind is CaseKind.ARCHITECTURE else limit

    @property
    def marks(self) -> tuple[str, ...]:
        """Marker names: its suites, and `star`, `gpu`, `slow` where they apply."""
        marks = list(self.suites)
        shape = self.model.architecture
        if shape is not None:
            is_star = False
            with suppress(StudyError):  # `check_fits` tells it, if the case is selected
                is_star = abs(self.pruning.mean_ratio(shape) - STAR_RATIO) < _STAR_TOLERANCE
            if is_star and self.pruning.control is None and self.kind is not CaseKind.LAYERS:
                marks.append("star")
            if shape.parameters() > _GPU_PARAMETERS and self.kind is not CaseKind.ARCHITECTURE:
                marks.append("gpu")
        if isinstance(self.subject, Task) and self.subject.slow:
            marks.append("slow")
        return tuple(marks)


def build_cases(
    study: Study,
    methods: Sequence[Selection] = (Selection(),),
    divisors: Sequence[int | None] = (None,),
    layers: Sequence[Layers | None] = (None,),
    percent_of: PercentOf = PercentOf.LAYER,
    weight_bytes: int | None = None,
) -> list[Case]:
    """Every case of a study, with models in declared order and levels from wide to narrow.

    Cases of one (model, level) are neighbours, in the order architecture, tasks, workloads, so that each model is
    loaded once. The baseline appears once, because methods and divisors do not change it. A suite that declares
    divisors uses these instead of `divisors`. A model that declares layer sets uses these instead of `layers`. Layer
    scans follow the baseline, one per method, and one per seed of `random` beside them. The controls, if the study has
    them, come last and have tasks only. A checkpoint with a baseline has neither scans nor controls.

    Raises:
        StudyError: if a divisor does not fit the declared shape of a model. A layer set or a level that asks for
            something else than a percentage may not fit: `Case.check_fits`.
    """
    methods = list(dict.fromkeys(methods))
    keys = [method.key for method in methods]
    levels = {level_key(level) for model in study.models.values() for level in model.levels}
    names = (*study.models, *study.tasks, *study.workloads, *study.suites, *levels)
    for line in (*same_ids(keys), *hidden_in([method.key for method in methods if method.scores], names)):
        raise StudyError(line)
    choice = Choices(tuple(methods), tuple(divisors), tuple(layers), percent_of, weight_bytes)
    suites: dict[str, list[Suite]] = {key: [] for key in study.models}
    for suite in study.suites.values():
        for key in dict.fromkeys(suite.models):
            suites[key].append(suite)
    models = study.models.values()
    return [case for model in models for case in _cases_of_model(study, model, suites[model.key], choice)]


def run_order(cases: Sequence[Case], seed: int, start: float = 0.0) -> list[Case]:
    """The order in which `cases` run: as declared, but the levels of models with energy cases are shuffled by `seed`.

    Shuffling keeps drift over hours from looking like an effect of pruning when levels cannot be interleaved. `start`,
    from 0 to below 1, is the place in the list of (model, level) groups where the run begins; those before it come
    last. Runs that share a results folder begin at different places.
    """
    chance = random.Random(seed)
    drawn = {model.key for model in {case.model for case in cases if case.kind in ENERGY_KINDS}}
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    models: dict[str, list[list[Case]]] = {}
    for members in groups.values():
        models.setdefault(members[0].model.key, []).append(members)
    for key, levels in models.items():
        if key in drawn:
            chance.shuffle(levels)
    ordered = [members for levels in models.values() for members in levels]
    first = int(start * len(ordered))
    return [case for members in (*ordered[first:], *ordered[:first]) for case in members]


def _cases_of_model(study: Study, model: ModelVariant, suites: list[Suite], choice: Choices) -> Iterator[Case]:
    asked = list(_prunings(model, choice))
    of_suite = {
        suite.key: list(_prunings(model, Choices(divisors=(None, *suite.divisors), weight_bytes=choice.weight_bytes)))
        if suite.divisors
        else asked
        for suite in suites
    }
    every = dict.fromkeys(pruning for prunings in (asked, *of_suite.values()) for pruning in prunings)
    scans = list(_scans(study, model, suites, choice))
    for pruning in sorted(every, key=lambda pruning: pruning.percent):
        if pruning.percent:
            yield from scans
            scans = []
        mine = [suite for suite in suites if pruning in of_suite[suite.key]]
        if model.architecture is not None and pruning.method is Method.PPM and pruning in asked:
            yield Case(model, pruning, ARCHITECTURE, tuple(suite.key for suite in mine if suite.tasks))
        for subject, names in _subjects(study, model, mine).items():
            yield Case(model, pruning, subject, names)
    yield from scans
    for control in Control if study.has_controls and model.baseline is None else ():
        for subject, names in _subjects(study, model, suites).items():
            if isinstance(subject, Task):
                yield Case(model, Pruning.of(control), subject, names)


def _prunings(model: ModelVariant, choice: Choices) -> Iterator[Pruning]:
    shape = model.architecture
    if 0 in model.levels:
        yield Pruning(0)
    parts = list(
        product(
            distinct(model.layers or choice.layers, shape.num_layers if shape else None),
            choice.methods,
            choice.divisors,
        )
    )
    for level in dict.fromkeys(model.levels):
        for layers, method, divisor in dict.fromkeys(parts) if level else ():
            percent = 0 if isinstance(level, Asked) else level
            pruning = Pruning(
                percent,
                method.method,
                divisor,
                layers=layers,
                percent_of=choice.percent_of,
                seed=method.seed,
                scores=method.scores,
            )
            if isinstance(level, Asked):
                pruning = pruning.to(level, shape, choice.weight_bytes)
            elif shape is not None and layers is None:
                pruning.widths(shape.intermediate_size, shape.num_layers)  # raises if the divisor leaves no neuron
            yield pruning


def _scans(study: Study, model: ModelVariant, suites: Sequence[Suite], choice: Choices) -> Iterator[Case]:
    """A layer scan for each method, and for the seeds of `random`, against which a layer's harm is judged.

    The seeds are those of the run, or else the default ones.
    """
    names = tuple(suite.key for suite in suites if suite.has_scan)
    if not names or model.baseline:
        return
    draws = [found for found in choice.methods if found.method is Method.RANDOM] or Selection.parse(Method.RANDOM)
    for found in dict.fromkeys((*choice.methods, *draws)):
        pruning = Pruning(study.scan.percent, found.method, seed=found.seed, scores=found.scores)
        yield Case(model, pruning, study.scan, names)


def _subjects(study: Study, model: ModelVariant, suites: list[Suite]) -> dict[Task | AnyWorkload, tuple[str, ...]]:
    """The tasks, then the workloads of `model`, each once, with the suites that name them."""
    original = study.models[model.baseline or model.key]
    found: dict[Task | AnyWorkload, tuple[str, ...]] = {}
    for suite in suites:
        extra = suite.instruct_tasks if model.kind is VariantKind.INSTRUCT else ()
        for key in (*suite.tasks, *extra):
            found[study.tasks[key]] = (*found.get(study.tasks[key], ()), suite.key)
    for suite in suites:
        for key in suite.workloads:
            workload = study.workloads[key]
            if workload.prompts is None or study.tasks[workload.prompts].embedded == original.is_embedded:
                found[workload] = (*found.get(workload, ()), suite.key)
    return found
