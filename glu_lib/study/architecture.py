"""Widths, expansion ratios and parameter counts of a GLU model, as arithmetic on its declared shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from glu_lib.errors import StudyError


@dataclass(frozen=True, slots=True)
class Family:
    """What the decoders of one transformers model type have beyond the sizes of their shape.

    `has_qkv_bias` means biases of q, k and v in any case; `may_have_bias`, biases of q, k, v and o if the configuration
    says so. `norms` is the number of norms of the hidden size per layer; with `has_qk_norm` there are two more of the
    head's size. `head_dim` and `tied_embeddings` hold if the configuration says nothing (None: hidden size / heads).
    """

    has_qkv_bias: bool = False
    may_have_bias: bool = False
    norms: int = 2
    has_qk_norm: bool = False
    head_dim: int | None = None
    tied_embeddings: bool = False


# By `model_type`, as in transformers 5.23.
FAMILIES = {
    "llama": Family(may_have_bias=True),
    "mistral": Family(),
    "qwen2": Family(has_qkv_bias=True),
    "qwen3": Family(may_have_bias=True, has_qk_norm=True, head_dim=128),
    "gemma": Family(may_have_bias=True, head_dim=256, tied_embeddings=True),
    "gemma2": Family(may_have_bias=True, norms=4, head_dim=256, tied_embeddings=True),
    "smollm3": Family(may_have_bias=True, tied_embeddings=True),
}
_OF_OWN_CONFIGURATION = ("family", "attention_bias")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of a Llama-style decoder: everything that determines its widths and its parameter count.

    Sizes are counts (neurons, heads, tokens), not bytes. With `tied_embeddings` the LM head shares the input
    embedding's weights, which are counted once. `family` is a key of FAMILIES; `attention_bias` says whether q, k, v
    and o have biases where the family leaves it open. `is_declared` is false if the model's own configuration gave it.
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
    family: str = "llama"
    attention_bias: bool = False
    is_declared: bool = field(default=True, compare=False, repr=False)

    def __repr__(self) -> str:
        """The fields; those that a study file cannot declare only if they are not Llama's: done keys hold the text."""
        shown = [
            f"{found.name}={getattr(self, found.name)!r}"
            for found in fields(self)
            if found.repr and (found.name not in _OF_OWN_CONFIGURATION or getattr(self, found.name) != found.default)
        ]
        return f"Architecture({', '.join(shown)})"

    @property
    def expansion_ratio(self) -> float:
        """Intermediate size / hidden size, the study's independent variable."""
        return self.intermediate_size / self.hidden_size

    @property
    def described(self) -> str:
        """The shape in a few words, and where it is from."""
        return (
            f"{self.num_layers} layers, {self.intermediate_size} neurons at hidden size {self.hidden_size} "
            f"({format_ratio(self.expansion_ratio)}), {self.parameters() / 1e6:,.1f} million parameters, "
            f"{'declared' if self.is_declared else f'from its configuration ({self.family})'}"
        )

    def parameters(self, widths: Sequence[int] | int | None = None) -> int:
        """Number of parameters if the MLPs have these widths: one per layer, or one for all (default: unpruned).

        Per layer: q and o (hidden × heads·dim each), k and v (hidden × kv_heads·dim each), gate, up and
        down (hidden × width each), two RMSNorm weights, and what the family has beyond a Llama: biases, norms of
        queries and keys, norms after attention and MLP; plus the embedding, the final norm and, if not tied, the LM
        head. From transformers' modeling files of the families.
        """
        if widths is None or isinstance(widths, int):
            widths = (self.intermediate_size if widths is None else widths,) * self.num_layers
        family = FAMILIES[self.family]
        queries, keys = self.head_dim * self.num_heads, self.head_dim * self.num_kv_heads
        attention = 2 * self.hidden_size * (queries + keys)
        norms = family.norms * self.hidden_size + family.has_qk_norm * 2 * self.head_dim
        biases = 0
        if family.has_qkv_bias or self.attention_bias:
            biases = queries + 2 * keys + self.attention_bias * self.hidden_size
        neurons = 3 * self.hidden_size * sum(widths)
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)
        return self.num_layers * (attention + norms + biases) + neurons + embeddings + self.hidden_size


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
