"""The done key as a record holds it: all fields that must be equal for the record's case to count as done."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from glu_lib.results.records.values import Cell, Count, Number, Part, Percent, Share, Whole
from glu_lib.study import Control
from glu_lib.study.settings import Weights

SCHEMA_VERSION = 1

AnyWeights = Annotated[Weights, Field(strict=False)]


def _named(name: str, meaning: str, **how: Any) -> Any:
    return Field(alias=name, description=meaning, **how)


class DoneKey(Part):
    """What every case's done key holds; its names in the file are those of messages, with blanks."""

    schema_: Literal[1] = _named("schema", "version of the record's layout")
    kind: str = Field(description="as above")
    model: str = Field(description="hub id, folder or `embedded`")
    model_version: str = _named("model version", "resolved commit of the hub, or a hash of the folder's files")
    percent: Percent = Field(description="pruning percentage")
    width: Count | None = Field(None, description="width of the pruned layers (levels that are not a percentage)")
    control: Annotated[Control, Field(strict=False)] | None = Field(
        None, description="`nomlp` or `untrained` (controls only)"
    )
    method: str | None = Field(None, description="pruning method (not at p0)")
    divisor: Count | None = Field(None, description="divisor (not at p0)")
    optipfair: str | None = Field(None, description="version of OptiPFair (not at p0)")
    layers: str | None = Field(None, description="pruned layers, if not all")
    percent_of: str | None = _named("percent of", "`layer` or `model` (layer sets only)", default=None)
    calibration: str | None = Field(None, description="text that the hybrid method is calibrated on")
    scores: str | None = Field(None, description="digest of a file of neuron scores")
    selection_seed: Whole | None = _named("selection seed", "seed of random selection", default=None)


class MeasuredKey(DoneKey):
    """The done key of a case that needs the model's weights."""

    dtype: str = Field(description="dtype of the weights")
    limit: Annotated[Count, Field(ge=1)] | None = Field(description="sample limit; null: all")
    seed: Whole = Field(description="seed of the few-shot sampler, NumPy and torch")


class AccuracyKey(MeasuredKey):
    """The done key of a scored case."""

    items: Cell | None = Field(
        None,
        description="which items the limit leaves: `spread` over the data set, or `samples_<file>` with the digest of "
        "those that the file names; absent: the first ones",
    )
    task: str = Field(description="lm-eval's name of the task")
    task_data: str | None = _named(
        "task data", "hash of the files of a task that ships with the package; null for lm-eval's tasks"
    )
    lm_eval: str = _named("lm-eval", "version of lm-evaluation-harness")
    few_shot: Count = _named("few-shot", "few-shot examples requested; the number used is `score.num_fewshot`")
    bootstrap_iterations: Count = _named("bootstrap iterations", "of lm-eval's standard errors")
    task_limit: Annotated[Count, Field(ge=1)] | None = _named(
        "task limit", "the task's own sample limit of a study file, per subtask; absent: all samples", default=None
    )
    chat_template: str | None = _named("chat template", "hash of the template, if the task's format is `chat`")
    window: str | None = Field(
        None, description="tokens of a window, or `context`: the model's (tasks that score one text in windows only)"
    )
    chat_date: str | None = _named("chat date", "the date passed to the chat template", default=None)
    weights: AnyWeights = Field(Weights.REAL, description="`real` or `random`; absent: `real`")

    @property
    def subset(self) -> str | None:
        """Which items, without their digest: `spread`, `samples_hard`; None for all or the first ones."""
        return self.items.split(" ")[0] if self.items else None


class EnergyKey(MeasuredKey):
    """The done key of a workload, with its hardware."""

    workload: str = Field(description="key of the workload")
    prompts_of: str = _named("prompts of", "task whose prompts are used, or `random tokens`")
    prompt_tokens: Count | None = _named("prompt tokens", "length of prompts of random tokens")
    prompts: Count = Field(description="number of prompts")
    new_tokens: Count = _named("new tokens", "tokens generated for each prompt")
    batch_size: Annotated[Count, Field(ge=1)] = _named(
        "batch size", "prompts per batch (a growing batch: of the largest)"
    )
    seeds: list[Whole] = Field(description="one repeat for each")
    min_window_s: Number = _named("min window (s)", "shortest energy window, seconds")
    idle_s: Number = _named("idle (s)", "rest before the first workload, seconds")
    weights: AnyWeights = Field(description="`real` or `random`")
    device: str = Field(description="name of the GPU or the processor")
    cores: Count = Field(description="cores that the process may use")
    threads: Count | None = Field(description="`--threads`; null: measured")
    torch: str = Field(description="version of torch")
    codecarbon: str = Field(description="version of CodeCarbon")


class ServingKey(EnergyKey):
    """The done key of a workload whose batch doubles; its numbers of prompts are those of the largest batch."""

    least_gain: Share = _named("least gain", "a doubling that gains less of the throughput stops the batch")


class ArchitectureKey(DoneKey):
    """The done key of a bare architecture, which needs neither weights nor samples."""

    limit: ClassVar[None] = None
    weights: ClassVar[Weights] = Weights.REAL

    transformers: str = Field(description="version of transformers")


class ScanKey(MeasuredKey):
    """The done key of a layer scan."""

    weights: ClassVar[Weights] = Weights.REAL

    text: Cell = Field(description="the fixed text whose perplexity is measured")
