"""The study: suites of models, tasks and workloads; all that they name exists, and no two names clash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from glu_lib.errors import StudyError
from glu_lib.study.asked import Level
from glu_lib.study.baselines import baseline_faults
from glu_lib.study.keys import check_key, unknown
from glu_lib.study.methods import Method
from glu_lib.study.selection import OPERATORS, clashes
from glu_lib.study.tasks import Task
from glu_lib.study.variants import Control, ModelVariant
from glu_lib.study.workloads import AnyWorkload, LayerScan

# Names that pytest or the suite's own marks already use.
_RESERVED_MARKS = (
    *(*OPERATORS, "skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"),
    *(
        "tryfirst",
        "trylast",
        "benchmark",
        "hypothesis",
        "xdist_group",
        "cases_of",
        "star",
        "gpu",
        "slow",
        "speed",
        "scoring",
    ),
)


@dataclass(frozen=True, slots=True)
class Suite:
    """A named set of tasks or workloads, and the models that run it. Each suite is a pytest marker.

    `instruct_tasks` are added for instruct variants. A workload with the prompts of an embedded task runs only on
    the embedded model, one with the prompts of another task only on other models. With `divisors`, each level runs
    once with its plain width and once rounded down to a multiple of each divisor; the run's own divisors are ignored.
    With `has_scan` its models get a layer scan.
    """

    key: str
    description: str
    models: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    instruct_tasks: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    divisors: tuple[int, ...] = ()
    has_scan: bool = False


@dataclass(frozen=True)
class Study:
    """All models, tasks, workloads and suites of a study, by key.

    `has_controls`: each model's tasks are also scored on its controls (`Control`).

    Raises:
        StudyError: if a key is not unique, or a suite or workload names something that does not exist.
    """

    models: Mapping[str, ModelVariant]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, AnyWorkload]
    suites: Mapping[str, Suite]
    has_controls: bool = False
    scan: LayerScan = field(default_factory=LayerScan)

    def __post_init__(self) -> None:
        for workload in self.workloads.values():
            if workload.prompts is not None and workload.prompts not in self.tasks:
                raise StudyError(f"workload {workload.key!r}: {unknown('task', workload.prompts, self.tasks)}")
            if workload.prompts is not None and self.tasks[workload.prompts].is_chat:
                raise StudyError(
                    f"workload {workload.key!r}: workloads need plain prompts, and task {workload.prompts!r} has chat "
                    "prompts; name a task with plain prompts"
                )
        for suite in self.suites.values():
            for kind, names, known in (
                ("task", suite.tasks + suite.instruct_tasks, self.tasks),
                ("workload", suite.workloads, self.workloads),
                ("model", suite.models, self.models),
            ):
                for name in names:
                    if name not in known:
                        raise StudyError(f"suite {suite.key!r}: {unknown(kind, name, known)}")
        for key, suite in self.suites.items():
            check_key("suite", key)
            if not (suite.tasks or suite.instruct_tasks or suite.workloads or suite.has_scan):
                raise StudyError(f"suite {key!r} is empty; name at least one task or workload")
            if key in _RESERVED_MARKS or key in self.models:
                raise StudyError(f"suite key {key!r} is already used as a pytest marker or a model key; rename it")
        levels = {key: model.levels for key, model in self.models.items()}
        marks = (*self.suites, *_RESERVED_MARKS)
        controls = Control if self.has_controls else ()
        for line in baseline_faults(self.models):
            raise StudyError(line)
        for line in clashes(levels, (*self.tasks, *self.workloads), Method, marks, controls):
            raise StudyError(line)

    def with_levels(self, levels: Sequence[Level]) -> Study:
        """The same study with these levels for all models; a model's p0 stays, because changes are against it.

        A checkpoint with a baseline keeps its only level, p0.

        Raises:
            StudyError: if `-k` cannot tell a level from another name, or a percentage is out of range.
        """
        models = {}
        for key, model in self.models.items():
            unpruned = [level for level in model.levels if level == 0]
            wanted = (*unpruned, *(levels if model.baseline is None else ()))
            models[key] = replace(model, levels=tuple(dict.fromkeys(wanted)))
        return replace(self, models=models)

    def model(self, key: str) -> ModelVariant:
        """The model variant called `key`.

        Raises:
            StudyError: for an unknown key; the message lists the known ones.
        """
        if key not in self.models:
            raise StudyError(unknown("model", key, self.models))
        return self.models[key]

    def suite(self, key: str) -> Suite:
        """The suite called `key`.

        Raises:
            StudyError: for an unknown key; the message lists the known ones.
        """
        if key not in self.suites:
            raise StudyError(unknown("suite", key, self.suites))
        return self.suites[key]

    def workload(self, key: str) -> AnyWorkload:
        """The workload called `key`.

        Raises:
            StudyError: for an unknown key; the message lists the known ones.
        """
        if key not in self.workloads:
            raise StudyError(unknown("workload", key, self.workloads))
        return self.workloads[key]
