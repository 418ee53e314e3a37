"""What the records of all kinds hold: the case, its pruning, its times, the machine."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from glu_lib.results.records.explained import REMEDY, shown
from glu_lib.results.records.values import LONGEST_TEXT, Cell, Count, Number, Part, Percent, Share, Whole
from glu_lib.study import Control
from glu_lib.study.layers import PercentOf
from glu_lib.study.tasks import PromptFormat


class CaseFields(Part):
    """The case that was measured."""

    id: Cell = Field(description="id of the case")
    model: Cell = Field(description="key of the model variant")
    percent: Percent = Field(description="pruning percentage")
    asked: Cell | None = Field(
        None, description="what the level asks for, as `2.4x`, `900M`, `1.8GB`; absent: the percentage"
    )
    level: Cell = Field(description="key of the level, with divisor and method where they are not the defaults")
    method: Cell | None = Field(description="pruning method; null at p0")
    divisor: Count | None = Field(description="divisor of the width; null: not rounded")
    layers: Annotated[str, Field(max_length=LONGEST_TEXT, pattern=r"^[0-9,-]+$")] | None = Field(
        None, description="layer set as it was written; absent: all layers"
    )
    percent_of: Annotated[PercentOf, Field(strict=False)] | None = Field(
        None, description="`layer` or `model`: what the percentage is of, if only some layers are pruned"
    )
    control: Annotated[Control, Field(strict=False)] | None = Field(
        None, description="`nomlp` or `untrained`; absent for levels"
    )
    baseline: Cell | None = Field(
        None, description="key of the model that this checkpoint is compared with; absent: none, it is pruned itself"
    )
    baseline_level: Cell | None = Field(
        None, description="level of that model with the same widths, as the study names it; absent: none is named"
    )
    subject: Cell = Field(description="key of the task or workload")
    prompt_format: Annotated[PromptFormat, Field(strict=False)] = Field(
        PromptFormat.PLAIN, description="`plain` or `chat` (tasks)"
    )
    suites: list[Cell] = Field(description="suites that hold the case")

    @model_validator(mode="after")
    def _check(self) -> CaseFields:
        if self.asked is None and not isinstance(self.percent, int):
            raise ValueError(f"case.percent is {shown(self.percent)}, not a whole number; {REMEDY}")
        return self


class Removed(Part):
    """What pruning removed from each pruned layer, in the order of `layers`."""

    layers: list[Count] = Field(description="indices of the pruned layers, from 0")
    score_share: list[Share | None] = Field(description="share of the sum of the neuron scores; null for `random`")
    down_norm_share: list[Share | None] = Field(description="share of the down projection's squared norm")
    activation_share: list[Share | None] = Field(
        description="share of the squared norm of the neurons' activations on the fixed text; null without a text"
    )
    largest_activation: list[Number | None] = Field(description="largest absolute activation of a removed neuron")
    largest_of_all: list[Number | None] = Field(description="largest absolute activation of any neuron")

    @model_validator(mode="after")
    def _check(self) -> Removed:
        if self.layers != sorted(set(self.layers)):
            raise ValueError(f"pruning.removed.layers is {shown(self.layers)}, not ascending layers; {REMEDY}")
        for name in type(self).model_fields:
            if len(values := getattr(self, name)) != len(self.layers):
                raise ValueError(
                    f"pruning.removed.{name} is {shown(values)}, not a list of {len(self.layers)} values; {REMEDY}"
                )
        return self


class Attention(Part):
    """Shape of a decoder's attention and LM head, the same in all layers."""

    num_heads: Count = Field(description="heads of queries")
    num_kv_heads: Count = Field(description="heads of keys and values")
    head_dim: Count = Field(description="size of one head")
    vocab_size: Count = Field(description="rows of the LM head")


class PruningFields(Part):
    """The requested pruning and its result."""

    percent: Percent = Field(description="pruning percentage")
    method: Cell | None = Field(description="pruning method; null at p0")
    divisor: Count | None = Field(description="divisor; null: not rounded")
    layers: Cell | None = Field(None, description="pruned layers; null: all")
    percent_of: Annotated[PercentOf, Field(strict=False)] = Field(
        PercentOf.LAYER, description="`layer` or `model`: what the percentage is of"
    )
    hidden_size: Count = Field(description="hidden size")
    unpruned_width: Count = Field(description="neurons per MLP before")
    asked_width: Count = Field(description="neurons that a pruned layer is to keep, rounded to the divisor")
    width: Count = Field(description="neurons per MLP of the pruned layers, counted after pruning")
    widths: list[Count] = Field(default_factory=list, description="neurons per MLP of every layer after")
    expansion_ratio: Number = Field(description="width / hidden size, the mean over all layers")
    width_mod_8: Count = Field(description="width modulo 8")
    width_mod_64: Count = Field(description="width modulo 64")
    width_mod_128: Count = Field(description="width modulo 128")
    parameters: Count = Field(description="parameters of the whole model after")
    unpruned_parameters: Count = Field(description="parameters of the whole model before")
    attention: Attention | None = Field(
        None, description="shape of the attention and of the LM head; null if layers differ or are of another kind"
    )
    kept_neurons: str | None = Field(
        description="hash of the indices of the kept neurons; checked when the model is pruned again"
    )
    calibration: str | None = Field(
        None, description="text that the method `hybrid` was calibrated on; null for other methods"
    )
    removed: Removed | None = Field(None, description="what was removed from each layer; null where nothing was chosen")
    prune_s: Number = Field(description="seconds of pruning")

    @property
    def pruned_layers(self) -> str | None:
        """The pruned layers as a table shows them: `1-29`, `1-29 of the model`; None for all layers."""
        of_model = self.layers is not None and self.percent_of is PercentOf.MODEL
        return f"{self.layers} of the model" if of_model else self.layers


class Timing(Part):
    """When the case ran, and how long."""

    load_s: Number | None = Field(description="seconds of loading; null without a model")
    started_at: Cell = Field(description="when the case began, UTC")
    duration_s: Number = Field(description="seconds of the case, summed over interrupted runs")


class Peak(Part):
    """Peak memory of one stage."""

    source: str = Field(description="what was read: the process's resident set, or torch's CUDA allocator")
    before_bytes: Whole | None = Field(description="memory before the stage")
    peak_bytes: Whole | None = Field(description="highest memory during it")
    reason: str | None = Field(description="why it could not be read")
    other_models_bytes: Whole = Field(0, description="of these, weights of other levels in memory")


class Memory(Part):
    """Peak memory of preparing the model."""

    loading: Peak = Field(description="of loading")
    pruning: Peak = Field(description="of pruning")


class Resumed(Part):
    """What a case took over from interrupted runs."""

    answers: Count = Field(description="answers taken over")
    continued: Count = Field(0, description="generations that were continued from their saved tokens")
    seconds: Number = Field(description="seconds of the interrupted runs")
    runs: list[dict[str, Any]] = Field(description="each of them: start, device, versions, seconds, answers")


class EnvironmentFields(Part):
    """The machine and the versions."""

    device: Cell = Field(description="`cpu`, `cuda`, `cuda:N` or `mps`")
    dtype: Cell = Field(description="dtype of the weights")
    seed: Whole = Field(description="seed of the run")
    threads: Count | None = Field(description="`--threads`")
    versions: dict[Cell, Cell] = Field(description="versions of the packages")
    cpu: Cell = Field(description="name of the processor")
    cores: Count = Field(description="cores that the process may use")
    memory_bytes: Count = Field(description="main memory")
    gpu: Cell | None = Field(description="name of the GPU")
    git_commit: Cell | None = Field(description="commit of the suite")
    outside: dict[str, Any] = Field(
        default_factory=dict, description="variables from outside that change speed or energy"
    )

    @property
    def is_on_gpu(self) -> bool:
        """Whether the model computed on a GPU, whose energy is then part of the total."""
        return self.device != "cpu"

    @property
    def processor(self) -> str:
        """Name of the GPU, or of the processor where there is none."""
        return self.gpu or self.cpu
