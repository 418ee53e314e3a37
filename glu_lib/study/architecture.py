"""Widths, expansion ratios and parameter counts of a GLU model, as arithmetic on its declared shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glu_lib.errors import StudyError


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of a Llama-style decoder: everything that determines its widths and its parameter count.

    Sizes are counts (neurons, heads, tokens), not bytes. With `tied_embeddings` the LM head shares the input
    embedding's weights, which are counted once.
    """

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool
    max_positions: int
    rope_theta: float
    rope_scaling: tuple[tuple[str, float | str], ...] = ()
    rms_norm_eps: float = 1e-5

    @property
    def expansion_ratio(self) -> float:
        """Intermediate size / hidden size, the study's independent variable."""
        return self.intermediate_size / self.hidden_size

    def parameters(self, widths: Sequence[int] | int | None = None) -> int:
        """Number of parameters if the MLPs have these widths: one per layer, or one for all (default: unpruned).

        Per layer: q and o (hidden × heads·dim each), k and v (hidden × kv_heads·dim each), gate, up and
        down (hidden × width each), two RMSNorm weights; plus the embedding, the final norm and, if not tied,
        the LM head.
        """
        if widths is None or isinstance(widths, int):
            widths = (self.intermediate_size if widths is None else widths,) * self.num_layers
        attention = 2 * self.hidden_size * self.head_dim * (self.num_heads + self.num_kv_heads)
        neurons = 3 * self.hidden_size * sum(widths)
        layer = attention + 2 * self.hidden_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)
        return self.num_layers * layer + neurons + embeddings + self.hidden_size


def pruned_width(intermediate_size: int, percent: float, divisor: int | None = None) -> int:
    """Number of neurons kept when `percent` per cent of `intermediate_size` are removed.

    The arithmetic is OptiPFair's (`prune_neuron_pairs`): the number of removed neurons is truncated to an
    integer, and the number of kept neurons is rounded down to a multiple of `divisor`. p0 is never rounded,
    because it is the baseline.

    Raises:
        StudyError: if no neuron is removed, or rounding leaves none.
    """
    if percent == 0:
        return intermediate_size
    width = intermediate_size - int(percent / 100 * intermediate_size)
    if width == intermediate_size:
        raise StudyError(f"{percent:g} % of {intermediate_size} neurons is less than one; choose a higher level")
    return rounded_width(width, intermediate_size, f"{percent:g} %", divisor)


def exact_percent(intermediate_size: int, width: int) -> float:
    """A percentage with which `pruned_width`, and so OptiPFair, leaves exactly `width` of `intermediate_size` neurons.

    Half a neuron is added to those that go, so that no rounding error of the percentage changes the truncated number.
    """
    return (intermediate_size - width + 0.5) / intermediate_size * 100


def rounded_width(width: int, intermediate_size: int, level: str, divisor: int | None) -> int:
    """`width` rounded down to a multiple of `divisor`; `level` is the level as an error message names it.

    Raises:
        StudyError: if rounding leaves no neuron.
    """
    rounded = width // divisor * divisor if divisor else width
    if rounded == 0:
        raise StudyError(
            f"divisor {divisor}: only {width} of {intermediate_size} neurons stay at {level}, "
            "which rounds down to 0; choose a smaller divisor"
        )
    return rounded


def format_ratio(ratio: float) -> str:
    """An expansion ratio as the study prints it: `2.4x`."""
    return f"{ratio:.1f}x"
