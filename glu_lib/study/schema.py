"""What a study consists of: model variants, levels, tasks, workloads and suites, as checked values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import permutations

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture
from glu_lib.study.selection import OPERATORS, clashes

_LONGEST_KEY = 60  # two of them, a level and a sample limit make a file name of at most 255 bytes
_KEY = re.compile(r"[a-z0-9][a-z0-9_]*")
# What names of lm-eval's index are made of. Its loader would take a path for a task file, and run the Python it names.
_LM_EVAL_NAME = re.compile(r"\w[\w.+()-]*", re.ASCII)
MAX_PERCENT = 95
# What a chat template is told when it asks for today's date: the date that Llama-3.2's own template falls back to.
# With the real one, prompts and scores would change from day to day.
CHAT_DATE = date(2024, 7, 26)
PERPLEXITY = "perplexity"  # how the names of lm-eval's perplexities end
NO_TEMPLATE = (
    'it continues a text, which a chat template breaks: give it prompt_format = "plain" (only tasks that ask and '
    "expect an answer have a chat format)"
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
    """How a model variant was trained, which decides which suites it is meant for."""

    BASE = "base"
    INSTRUCT = "instruct"


class PromptFormat(StrEnum):
    """How a task's prompts reach the model: as plain text, or as turns of the tokenizer's chat template."""

    PLAIN = "plain"
    CHAT = "chat"


class Method(StrEnum):
    """How neurons are chosen. PPM is the study's name for what OptiPFair's API calls MAW."""

    PPM = "PPM"
    VOW = "VOW"
    PON = "PON"
    L2 = "L2"
    HYBRID = "hybrid"
    RANDOM = "random"

    @classmethod
    def parse(cls, text: str) -> Method:
        """The method called `text`, in any case; MAW is accepted for PPM.

        Raises:
            StudyError: for an unknown name.
        """
        wanted = "ppm" if text.lower() == "maw" else text.lower()
        for method in cls:
            if method.lower() == wanted:
                return method
        raise StudyError(f"method {text!r} is unknown; choose one of {', '.join(cls)} (MAW means PPM)")


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A row of the study: a model's key, where it comes from, and the levels it is pruned to.

    `source` is a hub id, a folder, or `embedded` for the model that ships with the package.
    """

    key: str
    source: str
    kind: VariantKind
    levels: tuple[int, ...]
    revision: str = "main"
    architecture: Architecture | None = None

    def __post_init__(self) -> None:
        _check_key("model", self.key)
        for name in ("source", "revision"):
            if not getattr(self, name).strip():
                raise StudyError(f"model {self.key!r}: its {name} is empty; give one")
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
    """A task's headline metric: lm-eval's name and filter, its direction, and the score of guessing.

    `chance` is a share (0–1) for accuracies and None where guessing has no fixed score.
    """

    name: str
    filter: str = "none"
    higher_is_better: bool = True
    chance: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise StudyError('metric "" is empty; name lm-eval\'s metric, as "acc_norm"')
        if not (self.label.isprintable() and self.label.isascii()) or " " in self.label:
            raise StudyError(
                f"metric {self.label!r} is no name of lm-eval's; give letters, digits and signs, no blanks"
            )
        if self.chance is not None and not 0 <= self.chance <= 1:
            raise StudyError(f"metric {self.name!r}: chance {self.chance} must be a share from 0 to 1")

    @property
    def label(self) -> str:
        """Name as printed: `acc_norm`, `exact_match,flexible-extract`."""
        return self.name if self.filter == "none" else f"{self.name},{self.filter}"


@dataclass(frozen=True, slots=True)
class Task:
    """An lm-eval task with its few-shot count and one headline metric.

    `key` stands in case ids; `lm_eval_name` is what lm-eval calls the task. `embedded` tasks ship with
    the package; `slow` ones take minutes or more per level on a small GPU. The prompt format belongs to the task:
    the same lm-eval task with the chat template is another task with a key of its own (`ifeval`, `ifeval_chat`).
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
                f"task {self.key!r}: {self.lm_eval_name!r} is no task name of lm-eval's (no path is read); "
                "`lm_eval ls tasks` shows what there is"
            )
        if self.num_fewshot < 0:
            raise StudyError(f"task {self.key!r}: few-shot count {self.num_fewshot} must be 0 or more")
        if self.is_chat and self.metric.name.endswith(PERPLEXITY):
            raise StudyError(f"task {self.key!r}: {NO_TEMPLATE}")

    @property
    def is_chat(self) -> bool:
        """Whether its prompts are turns of the tokenizer's chat template."""
        return self.prompt_format is PromptFormat.CHAT


@dataclass(frozen=True, slots=True)
class Workload:
    """A generation workload of the energy suite.

    `prompts` names the task whose prompts are used; `num_prompts` prompts are answered with
    `new_tokens` tokens each, `batch_size` at a time, once per seed. Without `prompts`, and with random
    weights, prompts are random tokens, `prompt_tokens` of them.
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
            raise StudyError(f"workload {self.key!r}: seeds are empty; give at least one")


@dataclass(frozen=True, slots=True)
class Suite:
    """A named set of tasks or workloads and the models it is meant for; each is a pytest marker.

    `instruct_tasks` are added for instruct variants. An embedded model runs the tasks and the
    workloads that ship with the package, a hub model the others. With `divisors` each level is run both
    with its plain width and rounded down to a multiple of each of them, whatever the run asks for.
    """

    key: str
    description: str
    models: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    instruct_tasks: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    divisors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything a run can choose from; keys are unique and every reference resolves.

    Raises:
        StudyError: if a suite names an unknown task, workload or model.
    """

    models: Mapping[str, ModelVariant]
    tasks: Mapping[str, Task]
    workloads: Mapping[str, Workload]
    suites: Mapping[str, Suite]

    def __post_init__(self) -> None:
        for workload in self.workloads.values():
            if workload.prompts is not None and workload.prompts not in self.tasks:
                raise StudyError(f"workload {workload.key!r}: {unknown('task', workload.prompts, self.tasks)}")
            if workload.prompts is not None and self.tasks[workload.prompts].is_chat:
                raise StudyError(
                    f"workload {workload.key!r}: its prompts are plain text, those of task {workload.prompts!r} are "
                    "not; name a task with plain prompts"
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
            if not (suite.tasks or suite.instruct_tasks or suite.workloads):
                raise StudyError(f"suite {key!r} is empty; name at least one task or workload")
            if key in _RESERVED_MARKS or key in self.models:
                raise StudyError(f"suite key {key!r} has another meaning as a pytest marker; rename it")
        levels = {key: model.levels for key, model in self.models.items()}
        for line in clashes(levels, (*self.tasks, *self.workloads), Method, (*self.suites, *_RESERVED_MARKS)):
            raise StudyError(line)

    def model(self, key: str) -> ModelVariant:
        """The model variant called `key`, or a StudyError that lists those there are."""
        if key not in self.models:
            raise StudyError(unknown("model", key, self.models))
        return self.models[key]

    def suite(self, key: str) -> Suite:
        """The suite called `key`, or a StudyError that lists those there are."""
        if key not in self.suites:
            raise StudyError(unknown("suite", key, self.suites))
        return self.suites[key]

    def workload(self, key: str) -> Workload:
        """The workload called `key`, or a StudyError that lists those there are."""
        if key not in self.workloads:
            raise StudyError(unknown("workload", key, self.workloads))
        return self.workloads[key]


def unknown(kind: str, value: object, known: Mapping[str, object]) -> str:
    """One line for a name that does not exist: the value, the rule and the choices."""
    return f"{kind} {value!r} is not in the study; choose one of {', '.join(known)}"


def _check_key(kind: str, key: str) -> None:
    if not _KEY.fullmatch(key) or len(key) > _LONGEST_KEY:
        raise StudyError(
            f"{kind} key {key!r} must consist of lower-case letters, digits and _, with no _ at its beginning and at "
            f"most {_LONGEST_KEY} of them (it stands in case ids, file names and -k expressions); rename it"
        )
