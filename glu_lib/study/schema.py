"""The parts of a study as checked values: model variants, levels, tasks, workloads and suites."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import permutations

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture
from glu_lib.study.layers import Layers
from glu_lib.study.methods import Method
from glu_lib.study.selection import LAYER_SCAN, OPERATORS, clashes

_LONGEST_KEY = 60  # a file name of two keys, a level and a sample limit then has at most 255 bytes
_KEY = re.compile(r"[a-z0-9][a-z0-9_]*")
# The characters of lm-eval's task names. Paths are excluded: lm-eval would load one as a task file and run the Python
# code that the file names.
_LM_EVAL_NAME = re.compile(r"\w[\w.+()-]*", re.ASCII)
MAX_PERCENT = 95
# The date given to chat templates that ask for today's date: the default of Llama-3.2's own template. With the real
# date, prompts and scores would change from day to day.
CHAT_DATE = date(2024, 7, 26)
PERPLEXITY = "perplexity"  # ending of the names of lm-eval's perplexity metrics
NO_TEMPLATE = (
    'it scores how a text continues, and a chat template would break up the text; set prompt_format = "plain" (only '
    "tasks that ask a question can use the chat format)"
)
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


class VariantKind(StrEnum):
    """How a model variant was trained; decides its default suites."""

    BASE = "base"
    INSTRUCT = "instruct"


class PromptFormat(StrEnum):
    """How a task's prompts reach the model: as plain text, or as turns of the tokenizer's chat template."""

    PLAIN = "plain"
    CHAT = "chat"


class Control(StrEnum):
    """A model that is scored beside the levels and is none of them; the value is its key in case ids.

    Without MLP, all neurons are off and attention, embeddings and norms stay: where the curve of a model must end.
    Untrained is a model of the same shape with random weights.
    """

    NO_MLP = "nomlp"
    UNTRAINED = "untrained"

    @property
    def label(self) -> str:
        """The control as printed."""
        return "no MLP" if self is Control.NO_MLP else str(self)


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A row of the study: a model's key, its source, and its pruning levels.

    `source` is a hub id, a folder, or `embedded` for the model that ships with the package. `layers` are the layer sets
    that are pruned, None for all layers; empty: those of the run.
    """

    key: str
    source: str
    kind: VariantKind
    levels: tuple[int, ...]
    revision: str = "main"
    architecture: Architecture | None = None
    layers: tuple[Layers | None, ...] = ()

    def __post_init__(self) -> None:
        _check_key("model", self.key)
        for name in ("source", "revision"):
            if not getattr(self, name).strip():
                raise StudyError(f"model {self.key!r}: {name} is empty; give a {name}")
        if not self.levels:
            raise StudyError(f"model {self.key!r} has no levels; give at least one pruning percentage")
        for percent in self.levels:
            if not 0 <= percent <= MAX_PERCENT:
                raise StudyError(
                    f"level {percent} of model {self.key!r} is outside 0–{MAX_PERCENT} per cent; choose one inside"
                )
        for percent, other in permutations(sorted(set(self.levels)), 2):
            if str(other).startswith(str(percent)):
                raise StudyError(
                    f"levels {percent} and {other} of model {self.key!r}: "
                    f"-k p{percent} would select both; leave one out"
                )

    @property
    def is_embedded(self) -> bool:
        """Whether the weights ship with the package."""
        return self.source == "embedded"


@dataclass(frozen=True, slots=True)
class Metric:
    """A task's headline metric: lm-eval's name and filter, its direction, and the score of random guessing.

    `chance` is a fraction (0–1) for accuracies, and None if guessing has no fixed score.
    """

    name: str
    filter: str = "none"
    higher_is_better: bool = True
    chance: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise StudyError('metric "" is empty; give the name of an lm-eval metric, such as "acc_norm"')
        if not (self.label.isprintable() and self.label.isascii()) or " " in self.label:
            raise StudyError(
                f"metric {self.label!r} cannot be an lm-eval name; use ASCII letters, digits and signs without blanks"
            )
        if self.chance is not None and not 0 <= self.chance <= 1:
            raise StudyError(f"metric {self.name!r}: chance {self.chance} must be from 0 to 1")

    @property
    def label(self) -> str:
        """Name as printed: `acc_norm`, `exact_match,flexible-extract`."""
        return self.name if self.filter == "none" else f"{self.name},{self.filter}"


@dataclass(frozen=True, slots=True)
class Task:
    """An lm-eval task with its few-shot count and one headline metric.

    `key` appears in case ids; `lm_eval_name` is lm-eval's name of the task. `embedded` tasks ship with
    the package; `slow` tasks take minutes or more per level on a small GPU. The prompt format belongs to the task:
    the same lm-eval task with the chat template is a separate task with its own key (`ifeval`, `ifeval_chat`).
    """

    key: str
    metric: Metric
    num_fewshot: int = 0
    lm_eval_name: str = ""
    embedded: bool = False
    slow: bool = False
    prompt_format: PromptFormat = PromptFormat.PLAIN

    def __post_init__(self) -> None:
        _check_key("task", self.key)
        if not self.lm_eval_name:
            object.__setattr__(self, "lm_eval_name", self.key)
        if not _LM_EVAL_NAME.fullmatch(self.lm_eval_name):
            raise StudyError(
                f"task {self.key!r}: {self.lm_eval_name!r} is not an lm-eval task name (paths are not read); "
                "choose a name that `lm_eval ls tasks` lists"
            )
        if self.num_fewshot < 0:
            raise StudyError(f"task {self.key!r}: few-shot count {self.num_fewshot} must be 0 or more")
        if self.is_chat and self.metric.name.endswith(PERPLEXITY):
            raise StudyError(f"task {self.key!r}: {NO_TEMPLATE}")

    @property
    def is_chat(self) -> bool:
        """Whether prompts are formatted with the tokenizer's chat template."""
        return self.prompt_format is PromptFormat.CHAT


@dataclass(frozen=True, slots=True)
class Workload:
    """A generation workload of the energy suite.

    `prompts` is the key of the task whose prompts are used. For each seed, `new_tokens` tokens are generated for
    each of `num_prompts` prompts, in batches of `batch_size`. Without `prompts`, or with random weights, each
    prompt consists of `prompt_tokens` random tokens.
    """

    key: str
    prompts: str | None
    num_prompts: int
    new_tokens: int
    batch_size: int
    seeds: tuple[int, ...] = (42, 123, 456)
    prompt_tokens: int = 128

    def __post_init__(self) -> None:
        _check_key("workload", self.key)
        for name in ("num_prompts", "new_tokens", "batch_size", "prompt_tokens"):
            if getattr(self, name) < 1:
                raise StudyError(f"workload {self.key!r}: {name} {getattr(self, name)} must be 1 or more")
        if not self.seeds:
            raise StudyError(f"workload {self.key!r}: seeds is empty; give at least one")


@dataclass(frozen=True, slots=True)
class LayerScan:
    """The layer scan: perplexity on a fixed text with each layer pruned alone, and with all layers but it.

    `percent` is the level of the pruned layers.
    """

    percent: int = 10
    key: str = LAYER_SCAN

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= MAX_PERCENT:
            raise StudyError(f"scan_level {self.percent} is outside 1–{MAX_PERCENT} per cent; choose one inside")


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
    workloads: Mapping[str, Workload]
    suites: Mapping[str, Suite]
    has_controls: bool = False
    scan: LayerScan = LayerScan()

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
            _check_key("suite", key)
            if not (suite.tasks or suite.instruct_tasks or suite.workloads or suite.has_scan):
                raise StudyError(f"suite {key!r} is empty; name at least one task or workload")
            if key in _RESERVED_MARKS or key in self.models:
                raise StudyError(f"suite key {key!r} is already used as a pytest marker or a model key; rename it")
        levels = {key: model.levels for key, model in self.models.items()}
        marks = (*self.suites, *_RESERVED_MARKS)
        controls = Control if self.has_controls else ()
        for line in clashes(levels, (*self.tasks, *self.workloads), Method, marks, controls):
            raise StudyError(line)

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

    def workload(self, key: str) -> Workload:
        """The workload called `key`.

        Raises:
            StudyError: for an unknown key; the message lists the known ones.
        """
        if key not in self.workloads:
            raise StudyError(unknown("workload", key, self.workloads))
        return self.workloads[key]


def unknown(kind: str, value: object, known: Mapping[str, object]) -> str:
    """The error message for a name that does not exist, with the choices."""
    return f"{kind} {value!r} is not in the study; choose one of {', '.join(known)}"


def _check_key(kind: str, key: str) -> None:
    if not _KEY.fullmatch(key) or len(key) > _LONGEST_KEY:
        raise StudyError(
            f"{kind} key {key!r} must consist of at most {_LONGEST_KEY} lower-case letters, digits and _, and not "
            "start with _ (it is used in case ids, file names and -k expressions); rename it"
        )
