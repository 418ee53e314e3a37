"""A requested pruning: level, method, divisor and layers, and the widths that they leave, by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture, pruned_width
from glu_lib.study.asked import MAX_PERCENT, Asked, known_shape
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import RANDOM_SEEDS, Method, ScoreFile, Selection
from glu_lib.study.variants import Control


@dataclass(frozen=True, slots=True)
class Pruning:
    """A requested pruning: percentage, method, the divisor that the width is rounded down to, and the pruned layers.

    With `control` it is that control, see `Pruning.of`. `layers` None prunes all layers. `seed` belongs to the method
    `random`, `scores` to the method `file`. A level that asks for something else than a percentage has `asked` and the
    `width` of the pruned layers that it was resolved to, and `percent` is what each of them loses, see `Pruning.to`;
    if the model has no such width, `unfit` says why.
    """

    percent: float
    method: Method = Method.PPM
    divisor: int | None = None
    control: Control | None = None
    layers: Layers | None = None
    percent_of: PercentOf = PercentOf.LAYER
    seed: int | None = None
    scores: ScoreFile | None = None
    asked: Asked | None = None
    width: int | None = None
    unfit: str | None = None

    def __post_init__(self) -> None:
        if self.method is Method.RANDOM and self.seed is None:
            object.__setattr__(self, "seed", RANDOM_SEEDS[0])
        if self.layers is None or self.asked:  # of all layers, both readings of a percentage are the same
            object.__setattr__(self, "percent_of", PercentOf.LAYER)

    @classmethod
    def of(cls, control: Control) -> Pruning:
        """A control: 100 % of the neurons removed, or nothing removed from untrained weights."""
        return cls(100 if control is Control.NO_MLP else 0, control=control)

    def to(self, asked: Asked, shape: Architecture | None, weight_bytes: int | None) -> Pruning:
        """The same pruning at the level `asked`, resolved for a model of this shape.

        `weight_bytes` is the size of one weight in the run's dtype, in bytes; None if it is not known.
        """
        try:
            shape = known_shape(shape)
            pruned = self.layers.of(shape.num_layers) if self.layers else range(shape.num_layers)
            width = asked.width(shape, pruned=pruned, divisor=self.divisor, weight_bytes=weight_bytes)
        except StudyError as error:
            return replace(self, percent=MAX_PERCENT, asked=asked, unfit=str(error))
        return replace(self, percent=100 * (1 - width / shape.intermediate_size), asked=asked, width=width)

    def check_possible(self) -> None:
        """Check that the model can have what was asked.

        Raises:
            StudyError: one line without the names of the model and the level.
        """
        if self.unfit:
            raise StudyError(self.unfit)

    @property
    def selection(self) -> Selection:
        """The method with its seed or its scores."""
        return Selection(self.method, self.seed, self.scores)

    @property
    def selects(self) -> bool:
        """Whether neurons are selected: not at p0, and not for controls."""
        return bool(self.percent) and self.control is None

    @property
    def key(self) -> str:
        """The level part of a case id: `p40`, `r2.4x`, `p40d128`, `p40-VOW`, `p40-layers1uponly-random2`, `nomlp`."""
        if self.control:
            return str(self.control)
        whole = "ofmodel" if self.percent_of is PercentOf.MODEL else ""
        divisor = f"d{self.divisor}" if self.divisor else ""
        parts = [f"{self.asked.key if self.asked else f'p{self.percent}'}{whole}{divisor}"]
        parts += [self.layers.key] if self.layers else []
        parts += [] if self.method is Method.PPM else [self.selection.key]
        return "-".join(parts)

    def pruned_layers(self, num_layers: int) -> tuple[int, ...]:
        """The numbers of the layers that lose neurons, ascending, in a model with `num_layers` layers; () at p0.

        Raises:
            StudyError: if a layer does not exist.
        """
        if not self.selects:
            return ()
        return self.layers.of(num_layers) if self.layers else tuple(range(num_layers))

    def layer_percent(self, num_layers: int) -> float:
        """The percentage of neurons that each pruned layer loses in a model with `num_layers` layers.

        40 % of the model, spread over 20 of 30 layers, is 60 % of each of them.

        Raises:
            StudyError: if it is more than a layer can lose.
        """
        if self.percent_of is PercentOf.LAYER:
            return self.percent
        count = len(self.pruned_layers(num_layers))
        share = self.percent * num_layers / count if count else 0.0
        if share > MAX_PERCENT:
            raise StudyError(
                f"{self.key}: {self.percent} % of the model from {count} of its {num_layers} layers is {share:.0f} % "
                f"of each, at most {MAX_PERCENT} % can go; choose more layers or a lower level"
            )
        return int(share) if share == int(share) else share

    def widths(self, unpruned_width: int, num_layers: int) -> tuple[int, ...]:
        """The width of every layer's MLP after pruning, in neurons.

        Raises:
            StudyError: if a layer does not exist, or keeps no neuron, or if what was asked is impossible.
        """
        if not self.selects:
            return (0 if self.control is Control.NO_MLP else unpruned_width,) * num_layers
        self.check_possible()
        width = self.width or pruned_width(unpruned_width, self.layer_percent(num_layers), self.divisor)
        pruned = set(self.pruned_layers(num_layers))
        return tuple(width if layer in pruned else unpruned_width for layer in range(num_layers))

    def mean_ratio(self, shape: Architecture) -> float:
        """The mean expansion ratio over the layers of a model of this shape."""
        return mean_ratio(self.widths(shape.intermediate_size, shape.num_layers), shape.hidden_size)


def mean_ratio(widths: Sequence[int], hidden_size: int) -> float:
    """Mean over the layers of width / hidden size."""
    return sum(widths) / len(widths) / hidden_size
