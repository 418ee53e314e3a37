"""The record of a layer scan: perplexity with each layer pruned alone, with all but it, and with layers spared."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from glu_lib.results.collapse import LIMIT
from glu_lib.results.records.base import UncontrolledRecord
from glu_lib.results.records.case import Memory, Resumed
from glu_lib.results.records.done_key import ScanKey
from glu_lib.results.records.explained import REMEDY, shown
from glu_lib.results.records.values import Cell, Count, Number, Part
from glu_lib.study.layers import as_ranges

LogPerplexity = Annotated[Number, Field(ge=0)]  # nats per token


class SparingStep(Part):
    """One step of sparing the most harmful layers."""

    spared: list[Count] = Field(description="the layers spared so far")
    predicted: LogPerplexity = Field(description="log-perplexity that the sum of the single harms predicts")
    measured: LogPerplexity = Field(description="the measured log-perplexity")


class Scan(Part):
    """Log-perplexities in nats per token; lists have one value per layer."""

    text: Cell = Field(description="the fixed text")
    rows: Count = Field(description="rows of the text")
    row_tokens: Count = Field(description="tokens of a row")
    targets: Count = Field(description="tokens that are predicted")
    unpruned: Annotated[LogPerplexity, Field(le=math.log(LIMIT))] = Field(description="without pruning")
    pruned: LogPerplexity = Field(description="with all layers pruned")
    alone: list[LogPerplexity] = Field(description="with only this layer pruned")
    all_but: list[LogPerplexity] = Field(description="with all layers pruned but this one")
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
    weights: Cell | None = Field(
        None, description="how a GGUF file held the weights: `dequantized Q4_1`; absent: safetensors, as they are"
    )

    @model_validator(mode="after")
    def _check(self) -> LayersRecord:
        scan, count = self.scan, len(self.pruning.widths)
        for name, value in (("pruning.widths", self.pruning.widths), ("case.method", self.case.method)):
            if not value:
                raise ValueError(f"{name} is missing; {REMEDY}")
        for name, values in (("alone", scan.alone), ("all_but", scan.all_but)):
            if len(values) != count:
                raise ValueError(f"scan.{name} has {len(values)} values, the model {count} layers; {REMEDY}")
        steps = [step.spared for step in scan.steps]
        for spared in (scan.spared, *steps):
            if spared != sorted(set(spared)) or any(layer >= count for layer in spared):
                raise ValueError(f"scan.spared is {shown(spared)}, not layers from 0 to {count - 1}; {REMEDY}")
        removed = self.pruning.removed
        if removed is not None and any(layer >= count for layer in removed.layers):
            raise ValueError(
                f"pruning.removed.layers is {shown(removed.layers)}, not layers from 0 to {count - 1}; {REMEDY}"
            )
        if [] not in steps or scan.spared not in steps:
            raise ValueError(f"scan.spared is {shown(scan.spared)}, which no step measured; {REMEDY}")
        if scan.recommended != recommended_text(scan.spared, count):
            raise ValueError(
                f"scan.recommended is {shown(scan.recommended)}, not the layers beside spared {shown(scan.spared)}; "
                f"{REMEDY}"
            )
        return self


def recommended_text(spared: Iterable[int], count: int) -> str:
    """The layers left to prune of `count` layers, as `--layers` takes them: `all`, `1-29`."""
    left_out = set(spared)
    return as_ranges(index for index in range(count) if index not in left_out) if left_out else "all"
