"""Checks for impossible energy figures: power outside the hardware's range, wrong sums of parts, counted padding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LEAST_POWER_W = 1.0
_SUM_TOLERANCE = 0.01  # relative; figures are stored with more digits
_PADDING_TOLERANCE = 1.1  # factor; answers to another draw of prompts may be a little longer


@dataclass(frozen=True, slots=True)
class WindowClaim:
    """What a record or a published row claims about one window: joules, seconds, tokens; None if it does not say.

    `parts_j` are the energies that add up to the total, `limit_w` the highest power that the hardware can draw. The
    window holds `passes` passes over `rows` prompts, each with at most `max_new_tokens` new tokens, or exactly so many
    if `fixed_length`.
    """

    name: str
    window_s: float
    total_j: float | None
    parts_j: Mapping[str, float | None] = field(default_factory=dict)
    limit_w: float | None = None
    resolution_s: float | None = None
    rows: int | None = None
    passes: int = 1
    tokens: int | None = None
    max_new_tokens: int | None = None
    fixed_length: bool = False
    time_per_output_token_ms: float | None = None

    @property
    def tokens_per_row(self) -> float | None:
        """Mean number of tokens of an answer; None if the claim does not say."""
        if self.tokens is None or not self.rows:
            return None
        return self.tokens / (self.rows * self.passes)


def implausible(claim: WindowClaim) -> Iterator[str]:
    """The impossible figures of a claim, one line each."""
    if claim.window_s <= 0:
        yield f"{claim.name}: a window of {claim.window_s} s; it must be above 0"
    elif claim.resolution_s is not None and claim.window_s < claim.resolution_s:
        yield (
            f"{claim.name}: a window of {claim.window_s:.3g} s is shorter than the counter's step, "
            f"{claim.resolution_s:.3g} s"
        )
    yield from _energy(claim)
    yield from _tokens(claim)
    time_ms = claim.time_per_output_token_ms
    if time_ms is not None and not time_ms > 0:
        yield f"{claim.name}: {time_ms:.3g} ms per output token; first and later tokens are not of the same pass"


def padded(claims: Mapping[tuple[object, ...], tuple[WindowClaim, WindowClaim]]) -> Iterator[str]:
    """Batches whose answers are longer than those of the same prompts at batch 1, because padding was counted.

    Args:
        claims: pairs (batch 1, larger batch) of one workload, model, level and seed, at natural length.
    """
    for single, batched in claims.values():
        alone, together = single.tokens_per_row, batched.tokens_per_row
        if alone is not None and together is not None and together > alone * _PADDING_TOLERANCE:
            yield (
                f"{batched.name}: {together:.1f} tokens per answer, {alone:.1f} one prompt at a time; "
                "padding after the end of the text was counted"
            )


def _energy(claim: WindowClaim) -> Iterator[str]:
    named = {"total": claim.total_j, **claim.parts_j}
    for name, joules in named.items():
        if joules is not None and not (joules > 0 and math.isfinite(joules)):
            yield f"{claim.name}: {name} energy {joules} J; a missing figure is null, never 0"
    known = [joules for joules in claim.parts_j.values() if joules is not None]
    if claim.total_j is None:
        return
    if known and abs(sum(known) - claim.total_j) > _SUM_TOLERANCE * claim.total_j:
        yield (
            f"{claim.name}: its parts add up to {sum(known):.4g} J, its total says {claim.total_j:.4g} J "
            f"(factor {sum(known) / claim.total_j:.3f}): they differ in unit or window"
        )
    power = claim.total_j / claim.window_s if claim.window_s > 0 else None
    if power is not None and power < LEAST_POWER_W:
        yield f"{claim.name}: {power:.3g} W on average; no machine draws so little"
    if power is not None and claim.limit_w is not None and power > claim.limit_w:
        yield f"{claim.name}: {power:.4g} W on average, the hardware's limits add up to {claim.limit_w:.4g} W"


def _tokens(claim: WindowClaim) -> Iterator[str]:
    if claim.tokens is None or claim.rows is None or claim.max_new_tokens is None:
        return
    most = claim.rows * claim.passes * claim.max_new_tokens
    if claim.fixed_length and claim.tokens != most:
        yield (
            f"{claim.name}: {claim.tokens} tokens, {claim.passes} x {claim.rows} x {claim.max_new_tokens} = {most} "
            "were requested"
        )
    elif not 0 < claim.tokens <= most:
        yield f"{claim.name}: {claim.tokens} tokens where at most {most} could be generated"
