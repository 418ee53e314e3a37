"""Levels by what is wanted: an expansion ratio, a number of parameters or a size in bytes, resolved to a width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture, rounded_width

MAX_PERCENT = 95
_PERCENT = re.compile(r"(\d{1,3})\s?%?", re.ASCII)
_ASKED = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s?(x|m|b|mb|gb)", re.ASCII | re.IGNORECASE)
_FORMS = (
    f'write a level as 40 (per cent, a whole number from 0 to {MAX_PERCENT}), "2.4x" (expansion ratio), "900M" or '
    '"1.2B" (parameters), "800MB" or "1.8GB" (bytes of the weights in the dtype of the run)'
)


class Quantity(StrEnum):
    """What a level asks for; the value begins its key in case ids."""

    RATIO = "r"
    PARAMETERS = "n"
    BYTES = "b"


_UNITS = {
    "x": (Quantity.RATIO, 1),
    "M": (Quantity.PARAMETERS, 10**6),
    "B": (Quantity.PARAMETERS, 10**9),
    "MB": (Quantity.BYTES, 10**6),
    "GB": (Quantity.BYTES, 10**9),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A level that asks for an expansion ratio, for parameters or for bytes of the whole model, at most so much.

    `amount` is a ratio, a number of parameters or a number of bytes, exactly as it was written.
    """

    quantity: Quantity
    amount: Fraction

    @classmethod
    def parse(cls, text: str) -> Asked:
        """What `text` asks for: `2.4x`, `900M`, `1.2B`, `800MB`, `1.8GB`; upper or lower case.

        Raises:
            StudyError: if it is none of the forms, or 0.
        """
        match = _ASKED.fullmatch(text.strip())
        if match is None or not Fraction(match[1]):
            raise StudyError(f"level {text!r}: {_FORMS}")
        quantity, factor = _UNITS[match[2].lower() if match[2] in "xX" else match[2].upper()]
        return cls(quantity, Fraction(match[1]) * factor)

    def __str__(self) -> str:
        """The level as written, with one form for each amount: `2.4x`, `900M` (not `0.9B`), `1.8GB`."""
        return self._written(self.amount, decimals=9)

    @property
    def key(self) -> str:
        """The level in case ids: `r2.4x`, `n900m`, `b1.8gb`. No key is part of another one: each begins and ends so."""
        return f"{self.quantity}{self}".lower()

    def width(
        self,
        shape: Architecture,
        *,
        pruned: Sequence[int] | None = None,
        divisor: int | None = None,
        weight_bytes: int | None = None,
    ) -> int:
        """The widest MLP with which a model of this shape has at most what was asked, in neurons.

        Ratio: the mean over all layers. Bytes: parameters times `weight_bytes`.

        Args:
            shape: the unpruned model.
            pruned: the layers that lose neurons, all to the same width; None: all layers.
            divisor: the width is rounded down to a multiple of it.
            weight_bytes: bytes of one weight in the run's dtype; needed for bytes only.

        Raises:
            StudyError: if the unpruned model has no more than that, or if the layers cannot lose so much.
        """
        if self.quantity is Quantity.BYTES and weight_bytes is None:
            raise StudyError(f"level {self}: bytes depend on the dtype, which is not known here; ask for parameters")
        unit = weight_bytes or 1
        count = shape.num_layers if pruned is None else len(pruned)

        def has(width: int) -> Fraction:
            """What the model has if the pruned layers have this width."""
            widths = [width] * count + [shape.intermediate_size] * (shape.num_layers - count)
            if self.quantity is Quantity.RATIO:
                return Fraction(sum(widths), shape.num_layers * shape.hidden_size)
            return Fraction(shape.parameters(widths) * (unit if self.quantity is Quantity.BYTES else 1))

        unpruned, smallest = has(shape.intermediate_size), -(-shape.intermediate_size * (100 - MAX_PERCENT) // 100)
        if self.amount >= unpruned:
            raise StudyError(f"it has {self._written(unpruned)} unpruned, which is p0; ask for less")
        per_neuron = has(1) - has(0)
        width = int((self.amount - has(0)) // per_neuron)
        if width < smallest:
            part = "" if count == shape.num_layers else f" of {count} of its {shape.num_layers} layers"
            raise StudyError(
                f"at most {MAX_PERCENT} % of the neurons{part} can go, which leaves {self._written(has(smallest))}; "
                "ask for more than that"
            )
        return rounded_width(width, shape.intermediate_size, str(self), divisor)

    def _written(self, amount: Fraction, decimals: int = 3) -> str:
        unit = next(unit for unit in _PRINTED[self.quantity] if amount >= _UNITS[unit][1] or unit in ("x", "M", "MB"))
        number = f"{float(amount / _UNITS[unit][1]):.{decimals}f}"
        return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{unit}"


_PRINTED = {Quantity.RATIO: ("x",), Quantity.PARAMETERS: ("B", "M"), Quantity.BYTES: ("GB", "MB")}

Level = int | Asked  # an integer is a percentage of neurons to remove


def known_shape(shape: Architecture | None) -> Architecture:
    """Return `shape` if it is known.

    Raises:
        StudyError: if it is not.
    """
    if shape is None:
        raise StudyError(
            "it needs the model's shape, which is not known; declare [models.<key>.architecture], or give a level in "
            "per cent"
        )
    return shape


def parse_level(text: str) -> Level:
    """The level that a user writes: a percentage, as `40` or `40%`, or what is wanted (`Asked`).

    Raises:
        StudyError: if it is none of the forms.
    """
    match = _PERCENT.fullmatch(text.strip())
    return int(match[1]) if match else Asked.parse(text)


def level_key(level: Level) -> str:
    """The level in case ids, without divisor, layers and method: `p40`, `r2.4x`."""
    return level.key if isinstance(level, Asked) else f"p{level}"
