"""The record of a scored case: lm-eval's values, the energy of the work, the samples file."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from glu_lib.results.collapse import LIMIT, read_recorded
from glu_lib.results.plausibility import WindowClaim, implausible
from glu_lib.results.records.base import BaseRecord
from glu_lib.results.records.case import Memory, Peak, Resumed
from glu_lib.results.records.done_key import AccuracyKey
from glu_lib.results.records.explained import REMEDY, shown
from glu_lib.results.records.values import AnyNumber, Cell, Count, Part, Share
from glu_lib.results.records.window import ConditionsFields, EnergyWindow
from glu_lib.study.settings import Attention, AttentionChoice, Scorer
from glu_lib.study.tasks import PromptFormat

_UNLIKE = "an earlier version measured it, with the building of requests in its window; --rerun measures it again"


class Value(Part):
    """One number that lm-eval reports."""

    task: Cell = Field(description="lm-eval's name of the task or subtask")
    metric: Cell = Field(description="name of the metric")
    filter: Cell = Field(description="lm-eval's filter of the answers")
    value: AnyNumber | None = Field(description="the value; null if infinite")
    stderr: AnyNumber | None = Field(description="lm-eval's standard error")
    count: Count = Field(description="scored items")
    is_collapsed: bool = Field(False, description="whether the value is above 1e60 or infinite")
    log_value: AnyNumber | None = Field(None, description="natural logarithm of a collapsed value; null if infinite")

    @property
    def place(self) -> tuple[str, str, str]:
        """What names the value among those of its record."""
        return self.task, self.metric, self.filter

    def recorded(self, higher_is_better: bool | None) -> dict[str, Any]:
        """Value, standard error, and whether and where it has collapsed, also in records of early versions."""
        if self.has("is_collapsed"):
            return {
                "value": self.value,
                "stderr": self.stderr,
                "is_collapsed": self.is_collapsed,
                "log_value": self.log_value,
            }
        return read_recorded(self.metric, self.value, self.stderr, higher_is_better=higher_is_better)

    def wrong(self, higher_is_better: bool | None) -> str | None:
        """Why the value can enter no table; None if it can."""
        if self.value is not None and -LIMIT <= self.value <= LIMIT and not self.is_collapsed and not self.log_value:
            return None  # almost every value
        found = self.recorded(higher_is_better)
        value, logarithm = found["value"], found["log_value"]
        if value is not None and not -LIMIT <= value <= LIMIT:
            return f"value is {shown(value)}, not a finite number"
        if found["is_collapsed"] and (value is not None or higher_is_better):
            what = "a score where higher is better" if higher_is_better else f"value {shown(value)}"
            return f"is_collapsed is true for {what}"
        if logarithm is not None and not (found["is_collapsed"] and logarithm > math.log(LIMIT)):
            return f"log_value is {shown(logarithm)}, not the logarithm of a collapsed value"
        return None


class Headline(Value):
    """The value of the task's headline metric, as the study declares it."""

    label: Cell = Field(description="metric and filter as printed")
    higher_is_better: bool = Field(description="the metric's better side")
    chance: Share | None = Field(description="score of guessing; null: none")


class Score(Part):
    """What lm-eval says of a case."""

    headline: Headline = Field(description="the headline metric")
    num_fewshot: Count | None = Field(None, description="few-shot examples that the prompts held")
    generation_settings: dict[str, Any] = Field(
        default_factory=dict, description="generation settings that the model brings and that change greedy answers"
    )
    metrics: list[Value] = Field(description="each metric of the task and of its subtasks")
    task_versions: dict[str, Any] = Field(default_factory=dict, description="lm-eval's version of each task")
    truncated_prompts: Count | None = Field(None, description="prompts that lost their beginning")
    cut_generations: Count | None = Field(None, description="answers that reached their token limit")
    unknown_requests: Count | None = Field(None, description="requests that hold the unknown token")
    tied_items: Count | None = Field(None, description="items whose best options have equal scores")
    window_tokens: Count | None = Field(
        None, description="tokens of a window of a task that scores one text in windows; null for other tasks"
    )

    @model_validator(mode="after")
    def _check(self) -> Score:
        place, better = self.headline.place, self.headline.higher_is_better
        for value in self.metrics:
            if wrong := value.wrong(better if value.place == place else None):
                raise ValueError(f"{wrong}; {REMEDY}")
        if all(value.place != place for value in self.metrics):
            raise ValueError(f"the record has no headline figure; {REMEDY}")
        return self


class Samples(Part):
    """The file of a case's samples, one JSON object per line, gzip."""

    count: Count = Field(description="lines of that file")
    file: str = Field(description="path of that file below the results folder")
    bytes: Count | None = Field(None, description="size of that file")
    sha256: str | None = Field(None, description="digest of that file")


class AccuracyRuntime(Part):
    """How the case was computed."""

    threads: Count = Field(description="CPU threads of torch")
    batch_size: Count = Field(description="batch size that was used, after any halving")
    scorer: Annotated[Scorer, Field(strict=False)] = Field(description="`fast` or `hf`")
    attention: Annotated[Attention, Field(strict=False)] | None = Field(
        None, description="`glu_shared` (the suite's own) or `plain` (the model's); null in records of early versions"
    )
    attention_choice: Annotated[AttentionChoice, Field(strict=False)] | None = Field(
        None,
        description="why that one: both give the model's logits, and it was the faster (GPU) or was not timed (CPU); "
        "or only the model's does; null for lm-eval's own scorer and in records of early versions",
    )


class AccuracyRecord(BaseRecord):
    """The record of a scored case."""

    kind: Literal["accuracy"] = Field(description="what was measured")
    done_key: AccuracyKey = Field(description="what must be equal for the case to count as done")
    score: Score = Field(description="what lm-eval says")
    energy: EnergyWindow = Field(description="the energy of the model's work")
    conditions: ConditionsFields | None = Field(None, description="what else happened meanwhile")
    runtime: AccuracyRuntime = Field(description="how the case was computed")
    resumed: Resumed | None = Field(None, description="null, or what was taken over from interrupted runs")
    scoring_memory: Peak | None = Field(None, description="peak memory of scoring")
    memory: Memory = Field(description="peak memory of preparing the model")
    weights: Cell | None = Field(
        None, description="how a GGUF file held the weights: `dequantized Q4_1`; absent: safetensors, as they are"
    )
    samples: Samples = Field(description="the file of the samples")

    @model_validator(mode="after")
    def _check(self) -> AccuracyRecord:
        # Early versions applied the chat template to every task of instruct variants.
        if self.case.prompt_format is PromptFormat.PLAIN and self.done_key.chat_template is not None:
            raise ValueError(
                f"{self.case.id}: scored with the chat template, but the task's prompts are plain; run the case again, "
                "or the task's chat variant"
            )
        return self

    @property
    def subset(self) -> str | None:
        """Which items were scored, if not the first ones: `spread`, `samples_hard`."""
        return self.done_key.subset

    def wrong_energies(self) -> list[str]:
        """Energies that this version would reject: tables leave them out, and keep the score."""
        on_gpu = self.environment.is_on_gpu
        found = (*self.energy.wrong_total(on_gpu=on_gpu), *self.energy.wrong_memory(self.environment.memory_bytes))
        return [f"its energy {line}" for line in found]

    @property
    def unlike_window(self) -> str | None:
        """Why the energy cannot be compared with that of other levels; None if it can.

        Earlier versions, whose records lack `conditions`, built the requests inside the energy window, and did so only
        at the first level of a run.
        """
        return None if self.has("conditions") else _UNLIKE

    def claims(self) -> list[WindowClaim]:
        """What the record says of its energy window; nothing for a window without a total."""
        if self.energy.total_j is None:
            return []
        window_s, total_j = self.energy.window_s, self.energy.total_j
        return [WindowClaim(self.case.id, window_s=window_s, total_j=total_j, parts_j=self.energy.parts_j)]

    def doubts(self) -> list[str]:
        """Energies that are impossible or incomplete."""
        lines = [line for claim in self.claims() for line in implausible(claim)]
        return [*lines, *(f"{self.case.id}: {line}" for line in self.wrong_energies())]
