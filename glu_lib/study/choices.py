"""What a run prunes at each level: methods, divisors and layer sets."""

from __future__ import annotations

from typing import NamedTuple

from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection


class Choices(NamedTuple):
    """What a run prunes at each level; the arguments of `build_cases` after the study.

    `weight_bytes` is the size of one weight in the run's dtype, in bytes; without it, levels in bytes fit no model.
    """

    methods: tuple[Selection, ...] = (Selection(),)
    divisors: tuple[int | None, ...] = (None,)
    layers: tuple[Layers | None, ...] = (None,)
    percent_of: PercentOf = PercentOf.LAYER
    weight_bytes: int | None = None

    def weighing(self, weight_bytes: int) -> Choices:
        """The same choices in a run whose weights have so many bytes each."""
        return Choices(self.methods, self.divisors, self.layers, self.percent_of, weight_bytes)
