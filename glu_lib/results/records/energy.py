"""The record of a generation workload: repeats with their energy windows, and a summary of each figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from glu_lib.results.energy import PARTS
from glu_lib.results.plausibility import implausible
from glu_lib.results.records.base import UncontrolledRecord
from glu_lib.results.records.case import Memory, Peak
from glu_lib.results.records.done_key import EnergyKey
from glu_lib.results.records.explained import REMEDY
from glu_lib.results.records.repeat import AnyRepeat, Repeat, same
from glu_lib.results.records.values import Cell, Count, Number, Part
from glu_lib.results.repeats import summarize


class Summary(Part):
    """One figure over the repeats; all null if a repeat has no figure."""

    mean: Number | None = Field(description="mean over the repeats")
    standard_deviation: Number | None = Field(None, description="sample standard deviation over the repeats")
    interval_low: Number | None = Field(None, description="lower end of the 95 % t-interval of the mean")
    interval_high: Number | None = Field(None, description="upper end of it")
    n: Count = Field(description="repeats that have the figure")
    reason: str | None = Field(None, description="why there is no mean")


class Profile(Part):
    """The figures of a workload, each over the repeats."""

    time_to_first_token_ms: Summary = Field(description="median, in a pass of its own")
    time_per_output_token_ms: Summary = Field(description="median, in a pass of its own")
    time_per_output_token_p90_ms: Summary = Field(description="90th percentile")
    time_per_output_token_p99_ms: Summary = Field(description="99th percentile")
    tokens_per_s: Summary = Field(description="new tokens / window")
    energy_per_token_j: Summary = Field(description="joules / new tokens")
    net_energy_per_token_j: Summary = Field(description="the same without the resting machine's power")
    energy_per_response_j: Summary = Field(description="joules / responses")

    def figures(self) -> Iterator[tuple[str, Summary]]:
        """Each figure with its name, which holds the unit."""
        yield from ((name, getattr(self, name)) for name in Profile.model_fields)


class PartsPower(Part):
    """Power of each part of the machine, watts; null if it cannot be read."""

    gpu: Number | None = Field(description="the GPU")
    cpu: Number | None = Field(description="the processor")
    ram: Number | None = Field(description="the memory")


class Idle(Part):
    """The machine at rest with the model loaded."""

    seconds: Number = Field(description="length of the rest")
    total_w: Number | None = Field(description="power of all parts, watts; null if a part is unknown")
    parts_w: PartsPower = Field(description="the same of each part")
    exclusive: bool = Field(True, description="whether no other process used the machine")
    total_reason: str | None = Field(None, description="why there is no total")


class Schedule(Part):
    """How the levels of a workload took turns."""

    interleaved: bool = Field(description="whether the levels took turns")
    orders: list[list[str]] = Field(description="order of the levels in each round")
    reason: str | None = Field(description="why they did not take turns")


class EnergyRuntime(Part):
    """How the workload was computed."""

    batch_size: Count = Field(description="batch size")
    threads: Count = Field(description="CPU threads of torch")


class MeteredRecord(UncontrolledRecord):
    """A record with energy windows: what is wrong with their joules, and what contradicts them."""

    if TYPE_CHECKING:  # fields of each kind, at their places in its file
        done_key: EnergyKey
        idle: Idle | None
        schedule: Schedule | None

    @property
    def turns(self) -> str | None:
        """The order of the levels in each repeat, as text; None if the levels were not interleaved."""
        return str(self.schedule.orders) if self.schedule and self.schedule.interleaved else None

    def measured(self) -> Iterator[tuple[Sequence[AnyRepeat], Profile]]:
        """The repeats with the summary of their figures, once for each batch size."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_energies(self) -> MeteredRecord:
        for line in self.wrong_energies()[:1]:
            raise ValueError(f"{line}; {REMEDY}")
        return self

    def wrong_energies(self) -> list[str]:
        """Energies that this version would reject; a record that has one does not count."""
        on_gpu, memory_bytes, idle = self.environment.is_on_gpu, self.environment.memory_bytes, self.idle
        lines = []
        for repeat in (repeat for repeats, _ in self.measured() for repeat in repeats):
            for place, window in repeat.windows():
                found = (*window.wrong_total(on_gpu=on_gpu), *window.wrong_memory(memory_bytes))
                lines += [f"its energy{place} {line}" for line in found]
            lines += [
                f"its idle power and its windows cover different parts ({part.upper()})"
                for part in PARTS
                if idle is not None and idle.total_w is not None
                if (getattr(idle.parts_w, part) is None) != (repeat.energy.parts_j[part] is None)
            ]
        return list(dict.fromkeys(lines))

    def doubts(self) -> list[str]:
        """Figures that are impossible, or that disagree with the repeats and windows they come from."""
        most, name = self.done_key.new_tokens, self.case.id
        claims = (claim for repeats, _ in self.measured() for repeat in repeats for claim in repeat.claims(name, most))
        return [*(line for claim in claims for line in implausible(claim)), *self.contradictions()]

    def contradictions(self) -> list[str]:
        """Figures that disagree with the repeats and windows they come from, one line each."""
        name, lines = self.case.id, list[str]()
        for repeats, profile in self.measured():
            lines += [f"{name}, {line}" for repeat in repeats for line in repeat.contradictions()]
            for figure, summary in profile.figures():
                mean = summarize([getattr(repeat, figure) for repeat in repeats])["mean"]
                if not same(summary.mean, mean):
                    lines.append(f"{name}: mean {figure} is {summary.mean}, its repeats give {mean}")
        return lines


class EnergyRecord(MeteredRecord):
    """The record of a generation workload."""

    kind: Literal["energy"] = Field(description="what was measured")
    done_key: EnergyKey = Field(description="what must be equal for the case to count as done")
    repeats: Annotated[list[Repeat], Field(min_length=1)] = Field(description="one for each seed")
    profile: Profile = Field(description="the figures over the repeats")
    weights: Cell = Field(description="`real`, `random`, or how a GGUF file held them: `dequantized Q4_1`")
    idle: Idle | None = Field(None, description="the machine at rest; null if it was not measured")
    generation_memory: Peak = Field(description="peak memory of generation")
    schedule: Schedule | None = Field(None, description="how the levels took turns")
    runtime: EnergyRuntime = Field(description="how the workload was computed")
    memory: Memory = Field(description="peak memory of preparing the model")

    def measured(self) -> Iterator[tuple[Sequence[AnyRepeat], Profile]]:
        """The repeats with the summary of their figures."""
        yield self.repeats, self.profile
