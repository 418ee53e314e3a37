"""The record of a layer scan: perplexity with each layer pruned alone, with all but it, and with layers spared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from glu_lib.results.records.base import UncontrolledRecord
from glu_lib.results.records.case import Memory, Resumed
from glu_lib.results.records.done_key import ScanKey
from glu_lib.results.records.explained import REMEDY
from glu_lib.results.records.values import Cell, Count, Number, Part


class SparingStep(Part):
    """One step of sparing the most harmful layers."""

    spared: list[Count] = Field(description="the layers spared so far")
    predicted: Number = Field(description="log-perplexity that the sum of the single harms predicts")
    measured: Number = Field(description="the measured log-perplexity")


class Scan(Part):
    """Log-perplexities in nats per token; lists have one value per layer."""

    text: Cell = Field(description="the fixed text")
    rows: Count = Field(description="rows of the text")
    row_tokens: Count = Field(description="tokens of a row")
    targets: Count = Field(description="tokens that are predicted")
    unpruned: Number = Field(description="without pruning")
    pruned: Number = Field(description="with all layers pruned")
    alone: list[Number] = Field(description="with only this layer pruned")
    all_but: list[Number] = Field(description="with all layers pruned but this one")
    steps: list[SparingStep] = Field(description="the most harmful layers spared, one more at each step")
    spared: list[Count] = Field(description="the layers whose sparing pays")
    recommended: Cell = Field(description="the layers left to prune, as `--layers` takes them")
    reuses_beginnings: bool = Field(description="whether outputs of lower layers were kept")
    layers_run: Count = Field(description="layers that were computed")
    layers_whole: Count = Field(description="layers that the same runs would have computed without kept outputs")
    scan_s: Number = Field(description="seconds of the scan")


class ScanRuntime(Part):
    """How the scan was computed."""

    threads: Count = Field(description="CPU threads of torch")


class LayersRecord(UncontrolledRecord):
    """The record of a layer scan; `pruning` describes the model with all layers pruned."""

    kind: Literal["layers"] = Field(description="what was measured")
    done_key: ScanKey = Field(description="what must be equal for the case to count as done")
    scan: Scan = Field(description="the scan")
    runtime: ScanRuntime = Field(description="how the scan was computed")
    memory: Memory = Field(description="peak memory of preparing the model")
    resumed: Resumed | None = Field(None, description="null, or what was taken over from interrupted runs")

    @model_validator(mode="after")
    def _check(self) -> LayersRecord:
        count = len(self.pruning.widths)
        if not count:
            raise ValueError(f"pruning.widths is missing; {REMEDY}")
        for name, values in (("alone", self.scan.alone), ("all_but", self.scan.all_but)):
            if len(values) != count:
                raise ValueError(f"scan.{name} has {len(values)} values, the model {count} layers; {REMEDY}")
        for spared in (self.scan.spared, *(step.spared for step in self.scan.steps)):
            for layer in spared:
                if layer >= count:
                    raise ValueError(f"scan.spared names layer {layer}, the model has 0 to {count - 1}; {REMEDY}")
        return self
