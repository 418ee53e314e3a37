"""One repeat of a workload: times, tokens, an energy window at fixed and one at natural length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from glu_lib.results.plausibility import WindowClaim
from glu_lib.results.records.values import Count, Number, Part, Whole
from glu_lib.results.records.window import ConditionsFields, EnergyWindow

_ROUNDING = 1e-6  # relative; records hold unrounded figures
_MOST_WITHOUT_GPU_W = 2000.0  # upper bound for processors and memory of a large server, which report no power limit

Positive = Annotated[Count, Field(ge=1)]
Throughput = Annotated[Number, Field(description="new tokens / window")]
PerToken = Annotated[Number | None, Field(description="joules / new tokens")]
NetPerToken = Annotated[Number | None, Field(description="the same without the resting machine's power")]
PerResponse = Annotated[Number | None, Field(description="joules / responses")]


class Natural(Part):
    """The figures for answers of natural length, real tokens only."""

    passes: Positive = Field(1, description="passes over all prompts in the window")
    new_tokens: Positive = Field(description="tokens generated in the window")
    row_tokens: Annotated[list[Count], Field(min_length=1)] = Field(description="real tokens of each answer")
    tokens_per_s: Throughput
    energy_per_token_j: PerToken
    net_energy_per_token_j: NetPerToken
    energy_per_response_j: PerResponse
    energy: EnergyWindow = Field(description="the energy of the window")


class _Timed(Part):
    """What a repeat measures at fixed length."""

    seed: Whole = Field(description="seed of the repeat")
    time_to_first_token_ms: Number | None = Field(description="median, in a pass of its own")
    time_per_output_token_ms: Number | None = Field(description="median, in a pass of its own")
    time_per_output_token_p90_ms: Number | None = Field(description="90th percentile")
    time_per_output_token_p99_ms: Number | None = Field(description="99th percentile")
    passes: Positive = Field(description="passes over all prompts in the window")
    rows: Positive = Field(description="prompts of one pass")
    new_tokens: Positive = Field(description="tokens generated in the window, all answers of the same length")
    tokens_per_s: Throughput
    energy_per_token_j: PerToken
    net_energy_per_token_j: NetPerToken
    energy_per_response_j: PerResponse
    energy: EnergyWindow = Field(description="the energy of the window")

    if TYPE_CHECKING:  # the last field of each kind of repeat
        conditions: ConditionsFields

    def windows(self) -> Iterator[tuple[str, EnergyWindow]]:
        """The window, with what names it in a message."""
        yield f", seed {self.seed},", self.energy

    def claims(self, name: str, max_new_tokens: int) -> list[WindowClaim]:
        """The figures to check: of the window, and of its GPU alone."""
        limit_w = self.conditions.power_limit_w
        name = f"{name}, seed {self.seed}"
        return [
            WindowClaim(
                name,
                window_s=self.energy.window_s,
                total_j=self.energy.total_j,
                parts_j=self.energy.parts_j,
                limit_w=(limit_w or 0.0) + _MOST_WITHOUT_GPU_W,
                rows=self.rows,
                passes=self.passes,
                tokens=self.new_tokens,
                max_new_tokens=max_new_tokens,
                fixed_length=True,
                time_per_output_token_ms=self.time_per_output_token_ms,
            ),
            WindowClaim(
                f"{name}, GPU", window_s=self.energy.window_s, total_j=self.energy.gpu.energy_j, limit_w=limit_w
            ),
        ]

    def contradictions(self) -> Iterator[str]:
        """Figures that disagree with the window they come from, one line each."""
        place = f"seed {self.seed}"
        yield from _contradictions(place, self, self.passes * self.rows)
        if self.time_to_first_token_ms is not None:
            first_s = self.time_to_first_token_ms / 1000
            if first_s > self.energy.window_s:
                yield f"{place}: {first_s:.3g} s to the first token in a window of {self.energy.window_s:.3g} s"


class FixedRepeat(_Timed):
    """One repeat of a workload at fixed length only."""

    conditions: ConditionsFields = Field(description="what else happened meanwhile")


class Repeat(_Timed):
    """One repeat of a workload, also at natural length."""

    natural: Natural = Field(description="the same for answers of natural length, real tokens only")
    conditions: ConditionsFields = Field(description="what else happened meanwhile")

    def windows(self) -> Iterator[tuple[str, EnergyWindow]]:
        """Both windows, each with what names it in a message."""
        yield from super().windows()
        yield f" at natural length, seed {self.seed},", self.natural.energy

    def claims(self, name: str, max_new_tokens: int) -> list[WindowClaim]:
        """The figures to check: of the fixed-length window, of its GPU alone, of the natural-length window."""
        natural = self.natural
        return [
            *super().claims(name, max_new_tokens),
            WindowClaim(
                f"{name}, seed {self.seed}, natural length",
                window_s=natural.energy.window_s,
                total_j=natural.energy.total_j,
                parts_j=natural.energy.parts_j,
                rows=len(natural.row_tokens),
                passes=natural.passes,
                tokens=natural.new_tokens,
                max_new_tokens=max_new_tokens,
            ),
        ]

    def contradictions(self) -> Iterator[str]:
        """Figures that disagree with the window they come from, one line each."""
        natural = self.natural
        yield from super().contradictions()
        yield from _contradictions(
            f"seed {self.seed}, natural length", natural, natural.passes * len(natural.row_tokens)
        )


AnyRepeat = FixedRepeat | Repeat


def _contradictions(place: str, found: _Timed | Natural, responses: int) -> Iterator[str]:
    energy, tokens, total_j = found.energy, found.new_tokens, found.energy.total_j
    derived = {
        "tokens_per_s": tokens / energy.window_s if energy.window_s else None,
        "energy_per_token_j": None if total_j is None else total_j / tokens,
        "energy_per_response_j": None if total_j is None else total_j / responses,
    }
    for figure, value in derived.items():
        if not same(getattr(found, figure), value):
            yield f"{place}: {figure} is {getattr(found, figure)}, its window gives {value}"
    gross, net = found.energy_per_token_j, found.net_energy_per_token_j
    if gross is not None and net is not None and net > gross:
        yield f"{place}: net energy {net:.4g} J per token is above gross, {gross:.4g} J"
    yield from (f"{place}: {line}" for line in energy.contradictions())


def same(recorded: float | None, derived: float | None) -> bool:
    """Whether a recorded figure equals the one computed from its parts, up to rounding."""
    if recorded is None or derived is None:
        return recorded is derived
    return math.isclose(recorded, derived, rel_tol=_ROUNDING)
