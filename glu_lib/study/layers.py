"""Layer sets: which decoder layers are pruned, as users write them, as ids show them, and as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from glu_lib.errors import StudyError

ALL = "all"
_RANGE = re.compile(r"(-?\d{1,4})-(-?\d{1,4})?", re.ASCII)
_LEFT_OUT = re.compile(r"-(\d{1,4})", re.ASCII)
_ONE = re.compile(r"\d{1,4}", re.ASCII)
_LONGEST = 80  # characters of a set: ids are file names
_FORMS = (
    'write layers as "4,8,12", "1-29", "1-" (to the last), "-3-" (the last three), "1--2" (to the last but one) or '
    '"-0,-29" (all but 0 and 29); they count from 0'
)


class PercentOf(StrEnum):
    """What a level is a percentage of, if only some layers are pruned."""

    LAYER = "layer"  # 40 %: each pruned layer loses 40 % of its neurons
    MODEL = "model"  # 40 %: the pruned layers together lose 40 % of the neurons of all layers


@dataclass(frozen=True, slots=True)
class Layers:
    """A set of decoder layers, as written by the user: only these are pruned.

    Layers count from 0. Single layers and ranges are listed, a range may count from the end; or, with a minus sign,
    the layers that are left out.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Layers | None:
        """The set that `text` describes; None for all layers.

        Raises:
            StudyError: if it is none of the forms.
        """
        parts = [part.strip() for part in text.split(",")]
        if parts == [ALL]:
            return None
        are_left_out = [bool(_LEFT_OUT.fullmatch(part)) for part in parts]
        if not all(are_left_out) and not all(_is_listed(part) for part in parts):
            raise StudyError(f"layers {text!r}: {_FORMS}")
        written = re.sub(r"\d+", lambda number: str(int(number[0])), ",".join(parts))
        if all(_ONE.fullmatch(part) for part in parts):
            written = as_ranges(set(map(int, parts)))
        if len(written) > _LONGEST:
            raise StudyError(f"layers {written[:20]}…: more than {_LONGEST} characters (they stand in ids); use ranges")
        return cls(written)

    @property
    def key(self) -> str:
        """The set in case ids; no key is part of another one: `layers1uponly`, `layers4_8only`, `layers0_29spared`."""
        parts = self.text.split(",")
        if _LEFT_OUT.fullmatch(parts[0]):
            return f"layers{'_'.join(part[1:] for part in parts)}spared"
        return f"layers{'_'.join(map(_word, parts))}only"

    def of(self, num_layers: int) -> tuple[int, ...]:
        """The numbers of the layers in a model with `num_layers` layers, ascending.

        Raises:
            StudyError: if a layer does not exist, or no layer is left.
        """
        parts = self.text.split(",")
        if _LEFT_OUT.fullmatch(parts[0]):
            left_out = {self._checked(int(part[1:]), num_layers) for part in parts}
            found = set(range(num_layers)) - left_out
        else:
            found = {layer for part in parts for layer in self._listed(part, num_layers)}
        if not found:
            raise StudyError(f"layers {self.text!r}: no layer is left of {num_layers}; {_FORMS}")
        return tuple(sorted(found))

    def _listed(self, part: str, num_layers: int) -> Iterable[int]:
        if _ONE.fullmatch(part):
            return (self._checked(int(part), num_layers),)
        match = _RANGE.fullmatch(part)
        assert match
        start, stop = (self._end(end, num_layers) for end in (match[1], match[2] or "-1"))
        if start > stop:
            raise StudyError(f"layers {self.text!r}: {part} runs backwards in a model of {num_layers} layers; {_FORMS}")
        return range(start, stop + 1)

    def _end(self, end: str, num_layers: int) -> int:
        return self._checked(int(end) + (num_layers if end.startswith("-") else 0), num_layers)

    def _checked(self, layer: int, num_layers: int) -> int:
        if not 0 <= layer < num_layers:
            raise StudyError(
                f"layers {self.text!r}: the model has {num_layers} layers, 0 to {num_layers - 1}; {_FORMS}"
            )
        return layer


def distinct(sets: Iterable[Layers | None], num_layers: int | None) -> list[Layers | None]:
    """The layer sets without those that name the same layers as an earlier one, as `1-` and `-0` do.

    `num_layers` is the model's number of layers, None if it is not known.
    """
    found: dict[object, Layers | None] = {}
    for layers in sets:
        same: object = layers
        if layers is not None and num_layers is not None:
            with suppress(StudyError):  # a set that does not fit is refused if its cases are selected
                same = layers.of(num_layers)
        found.setdefault(same, layers)
    return list(found.values())


def as_ranges(layers: Iterable[int]) -> str:
    """Layer numbers as short text: `1-29`, `4,8,12`, `0-3,8`."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _is_listed(part: str) -> bool:
    match = _RANGE.fullmatch(part)
    ends = (match[1], match[2] or "") if match else ()
    # -0 would be layer 0 counted from the end, which does not exist.
    return bool(_ONE.fullmatch(part)) or (match is not None and not any(re.fullmatch("-0+", end) for end in ends))


def _word(part: str) -> str:
    match = _RANGE.fullmatch(part)
    if match is None:
        return part
    start, stop = (end and (f"last{end[1:]}" if end.startswith("-") else end) for end in (match[1], match[2]))
    return f"{start}to{stop}" if stop else f"{start}up"
