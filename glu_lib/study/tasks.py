"""Tasks of lm-eval: the headline metric, the few-shot count and the prompt format of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from glu_lib.errors import StudyError
from glu_lib.study.keys import check_key

# The characters of lm-eval's task names. Paths are excluded: lm-eval would load one as a task file and run the Python
# code that the file names.
_LM_EVAL_NAME = re.compile(r"\w[\w.+()-]*", re.ASCII)
# The date given to chat templates that ask for today's date: the default of Llama-3.2's own template. With the real
# date, prompts and scores would change from day to day.
CHAT_DATE = date(2024, 7, 26)
CONTEXT = "context"  # a task's window: as many tokens as the model's context
_SHORTEST_WINDOW = 2  # one token that is only read, one that is scored
PERPLEXITY = "perplexity"  # ending of the names of lm-eval's perplexity metrics
NO_TEMPLATE = (
    'it scores how a text continues, and a chat template would break up the text; set prompt_format = "plain" (only '
    "tasks that ask a question can use the chat format)"
)


class PromptFormat(StrEnum):
    """How a task's prompts reach the model: as plain text, or as turns of the tokenizer's chat template."""

    PLAIN = "plain"
    CHAT = "chat"


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
    the same lm-eval task with the chat template is a separate task with its own key (`ifeval`, `ifeval_chat`). `limit`
    is the task's own sample limit, per subtask, as lm-eval counts; None for all samples.
    `window` is the number of tokens of a window, or `context`, of tasks that score one text in windows; else None.
    """

    key: str
    metric: Metric
    num_fewshot: int = 0
    lm_eval_name: str = ""
    embedded: bool = False
    slow: bool = False
    prompt_format: PromptFormat = PromptFormat.PLAIN
    limit: int | None = None
    window: int | str | None = None

    def __post_init__(self) -> None:
        check_key("task", self.key)
        if not self.lm_eval_name:
            object.__setattr__(self, "lm_eval_name", self.key)
        if not _LM_EVAL_NAME.fullmatch(self.lm_eval_name):
            raise StudyError(
                f"task {self.key!r}: {self.lm_eval_name!r} is not an lm-eval task name (paths are not read); "
                "choose a name that `lm_eval ls tasks` lists"
            )
        if self.num_fewshot < 0:
            raise StudyError(f"task {self.key!r}: few-shot count {self.num_fewshot} must be 0 or more")
        if self.limit is not None and self.limit < 1:
            raise StudyError(f"task {self.key!r}: limit {self.limit} must be 1 or more; leave it out for all samples")
        is_size = type(self.window) is int and self.window >= _SHORTEST_WINDOW
        if self.window is not None and self.window != CONTEXT and not is_size:
            raise StudyError(
                f'task {self.key!r}: window {self.window!r} must be at least {_SHORTEST_WINDOW} tokens, or "{CONTEXT}"'
            )
        if self.is_chat and self.metric.name.endswith(PERPLEXITY):
            raise StudyError(f"task {self.key!r}: {NO_TEMPLATE}")

    def limited(self, limit: int | None) -> int | None:
        """The sample limit of this task in a run with `limit`: the smaller of both; None for all samples."""
        return min((found for found in (self.limit, limit) if found is not None), default=None)

    @property
    def is_chat(self) -> bool:
        """Whether prompts are formatted with the tokenizer's chat template."""
        return self.prompt_format is PromptFormat.CHAT
