"""What a pruning asked for and what it gave: percentage, widths, parameters, kept neurons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from glu_lib.models.removed import Removed
from glu_lib.study.costs import AttentionShape


@dataclass(frozen=True, slots=True)
class PruningResult:
    """The requested pruning and its result; sizes in neurons, `prune_s` in seconds.

    `width` is the width of the pruned layers, `widths` that of every layer; `layers` names the pruned layers if they
    are not all. The expansion ratio is the mean over all layers. `calibration` is the text that the method
    `hybrid` was calibrated on. `removed` says of each pruned layer what was removed. `attention` is the shape of
    attention and LM head; None if layers differ or are of another kind.
    `kept_neurons` is the SHA-256 of the indices of the kept neurons of the pruned layers; None for the baseline, for
    controls and on the meta device, where no neurons are selected.
    """

    percent: float
    method: str | None
    divisor: int | None
    layers: str | None
    percent_of: str
    hidden_size: int
    unpruned_width: int
    asked_width: int
    width: int
    widths: list[int]
    expansion_ratio: float
    width_mod_8: int
    width_mod_64: int
    width_mod_128: int
    parameters: int
    unpruned_parameters: int
    attention: AttentionShape | None
    kept_neurons: str | None
    calibration: str | None
    removed: Removed | None
    prune_s: float

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)
