"""The record of serving at saturation: the figures of each batch size, and what stopped the batch from growing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from glu_lib.results.records.case import Memory, Peak
from glu_lib.results.records.done_key import ServingKey
from glu_lib.results.records.energy import Idle, MeteredRecord, Profile, Schedule
from glu_lib.results.records.explained import REMEDY, shown
from glu_lib.results.records.repeat import AnyRepeat, FixedRepeat, Positive, same
from glu_lib.results.records.values import Cell, Count, Number, Part


class StopReason(StrEnum):
    """What stops a batch from growing."""

    THROUGHPUT = "throughput"  # doubling the batch gained less than the workload's share
    MEMORY = "memory"  # memory ran out
    MEMORY_BOUND = "memory_bound"  # known beforehand not to fit
    LARGEST = "largest"  # the largest declared size was reached


@dataclass(frozen=True, slots=True)
class Stop:
    """What a level met first: at `batch_size`, with the share of throughput that this size gained over half of it.

    `gain` is None for a size that was not measured, and if there is no half of it.
    """

    reason: StopReason
    batch_size: int
    gain: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def doubling_gain(throughputs: Sequence[tuple[int, float]]) -> float | None:
    """Share of throughput that the last doubling gained: last / one before − 1; None with fewer than two sizes.

    Args:
        throughputs: batch sizes, each with its mean tokens per second, ascending.
    """
    if len(throughputs) < 2 or not throughputs[-2][1]:
        return None
    return throughputs[-1][1] / throughputs[-2][1] - 1


class BatchFigures(Part):
    """The figures of one batch size."""

    batch_size: Positive = Field(description="prompts in the batch")
    repeats: Annotated[list[FixedRepeat], Field(min_length=1)] = Field(description="one for each seed")
    profile: Profile = Field(description="the figures over the repeats")
    generation_memory: Peak = Field(description="peak memory of one batch")


class StopFields(Part):
    """What stopped the batch from growing."""

    reason: Annotated[StopReason, Field(strict=False)] = Field(
        description="`throughput`: a doubling gained too little; `memory`: it ran out; `memory_bound`: known "
        "beforehand not to fit; `largest`: no larger size was asked for"
    )
    batch_size: Positive = Field(description="the batch size at which this happened")
    gain: Number | None = Field(
        description="share of throughput that this size gained over half of it; null if it was not measured"
    )


class ServingRuntime(Part):
    """How the batches were computed."""

    threads: Count = Field(description="CPU threads of torch")


class ServingRecord(MeteredRecord):
    """The record of serving at saturation."""

    kind: Literal["serving"] = Field(description="what was measured")
    done_key: ServingKey = Field(description="what must be equal for the case to count as done")
    batches: Annotated[list[BatchFigures], Field(min_length=1)] = Field(description="each batch size, ascending")
    stop: StopFields = Field(description="what stopped the batch from growing")
    idle: Idle | None = Field(None, description="the machine at rest; null if it was not measured")
    weights: Cell = Field(description="`real`, `random`, or how a GGUF file held them: `dequantized Q4_1`")
    schedule: Schedule | None = Field(None, description="how the levels took turns, at each batch size")
    runtime: ServingRuntime = Field(description="how the batches were computed")
    memory: Memory = Field(description="peak memory of preparing the model")

    @model_validator(mode="after")
    def _check_batches(self) -> ServingRecord:
        sizes = [batch.batch_size for batch in self.batches]
        if sizes != [2**power for power in range(len(sizes))]:
            raise ValueError(f"batches have the sizes {shown(sizes)}, not 1, 2, 4, …; {REMEDY}")
        for batch in self.batches:
            if any(repeat.rows != batch.batch_size for repeat in batch.repeats):
                raise ValueError(f"a repeat of batch size {batch.batch_size} has another number of rows; {REMEDY}")
            if batch.profile.tokens_per_s.mean is None:
                raise ValueError(f"batch size {batch.batch_size} has no throughput; {REMEDY}")
        if self.stop.batch_size not in (*sizes, 2 * sizes[-1]):
            raise ValueError(f"stop.batch_size is {self.stop.batch_size}, the batches end at {sizes[-1]}; {REMEDY}")
        return self

    def measured(self) -> Iterator[tuple[Sequence[AnyRepeat], Profile]]:
        """The repeats of each batch size with the summary of their figures."""
        yield from ((batch.repeats, batch.profile) for batch in self.batches)

    def contradictions(self) -> list[str]:
        """Figures that disagree with the repeats and windows they come from, one line each."""
        found = [
            (batch.batch_size, batch.profile.tokens_per_s.mean)
            for batch in self.batches
            if batch.batch_size <= self.stop.batch_size and batch.profile.tokens_per_s.mean is not None
        ]
        is_measured = found[-1][0] == self.stop.batch_size
        gain = doubling_gain(found) if is_measured else None
        lines = super().contradictions()
        if not same(self.stop.gain, gain):
            lines.append(f"{self.case.id}: stop.gain is {self.stop.gain}, its batches give {gain}")
        if is_measured is self.stop.reason.startswith("memory"):
            lines.append(f"{self.case.id}: stopped by {self.stop.reason} at batch size {self.stop.batch_size}")
        return lines
