"""The cut: prune layers with OptiPFair, one at a time, and verify widths and kept neurons."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import VerificationError
from glu_lib.models.glu import glu_layers, glu_layers_unchecked, import_optipfair
from glu_lib.models.neuron_scores import OPTIPFAIR_METHODS, Batches, Calibration, activation_norms_of, neuron_scores
from glu_lib.models.pruning_result import PruningResult
from glu_lib.models.removed import Activations, Removed, activations_on, removed_of
from glu_lib.models.shapes import attention_shape, count_parameters
from glu_lib.study import Control, Method
from glu_lib.study.architecture import exact_percent
from glu_lib.study.layers import as_ranges
from glu_lib.study.pruning import Pruning, mean_ratio

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ALIGNMENTS = (8, 64, 128)


@dataclass(slots=True)
class Texts:
    """Functions that return batches of `input_ids` and `attention_mask`, called only if a pruning needs them.

    `calibration` is for the method `hybrid`, `fixed` for the activations of the removed neurons. None: no text.
    """

    calibration: Callable[[], Calibration] | None = None
    fixed: Callable[[], Batches] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The neurons that a layer keeps, (width,) int64 ascending, and what was removed, in numbers."""

    kept: torch.Tensor
    removed: dict[str, float | None]


@dataclass(slots=True)
class Cut:
    """Prunes layers of one model; norms and activations are taken once, from the model as it is before the first cut.

    Raises:
        VerificationError: if the method is `hybrid` and there is no calibration text.
    """

    model: PreTrainedModel
    pruning: Pruning
    texts: Texts
    kept: dict[int, Kept] = field(default_factory=dict)
    widths: tuple[int, ...] = field(init=False)
    _unpruned_width: int = field(init=False)
    _calibration: Calibration | None = field(init=False)
    _norms: Mapping[int, torch.Tensor] = field(init=False)
    _activations: Mapping[int, Activations] = field(init=False)

    def __post_init__(self) -> None:
        layers = glu_layers(self.model, is_pruned=self.pruning.selects)
        own = tuple(layer.mlp.gate_proj.out_features for layer in layers)
        self._unpruned_width = own[0]
        is_as_saved = not self.pruning.selects and self.pruning.control is not Control.NO_MLP
        self.widths = own if is_as_saved else self.pruning.widths(self._unpruned_width, len(layers))
        on_meta = self.model.device.type == "meta"
        with _preserved_randomness(self.model.device.type):
            self._calibration = self._calibrated() if self.pruning.method is Method.HYBRID and not on_meta else None
            batches = self._calibration.batches if self._calibration else ()
            self._norms = activation_norms_of(self.model, batches) if batches else {}
            fixed = None if on_meta or not self.pruning.selects else self.texts.fixed
            self._activations = activations_on(self.model, fixed()) if fixed else {}

    def _calibrated(self) -> Calibration | None:
        """The calibration text of the method `hybrid`; None at p0."""
        if not self.pruning.selects:
            return None
        if self.texts.calibration is None:
            raise VerificationError("method hybrid needs calibration text; pass `calibration`")
        return self.texts.calibration()

    def prune_layer(self, index: int) -> None:
        """Prune the MLP of one layer with OptiPFair, in place.

        Layers are pruned one at a time, so that only one layer's original weights are in memory in addition to the
        model. The kept weights are checked to be those of the neurons with the highest scores.
        """
        import torch

        layers, pruning = glu_layers_unchecked(self.model), self.pruning
        mlp = layers[index].mlp
        originals: dict[str, torch.Tensor] = {name: tensor.detach() for name, tensor in mlp.named_parameters()}
        home = mlp.gate_proj.weight.device
        width, share = self.widths[index], pruning.layer_percent(len(layers))
        scores = neuron_scores(mlp, pruning, layer=index, activation_norms=self._norms.get(index))
        is_own = pruning.method not in OPTIPFAIR_METHODS
        # A rank in place of a score, because OptiPFair takes scores from 0 to 1 in float32, which could change their
        # order. Of equal scores the first neuron has the highest rank.
        ranks = torch.empty(len(scores), dtype=torch.float64)
        if home.type != "meta":
            ranks[scores.cpu().argsort(descending=True, stable=True)] = torch.arange(len(scores) - 1, -1, -1.0).double()
        with _preserved_randomness(home.type), torch.device("meta" if home.type == "meta" else "cpu"):
            import_optipfair().prune_model_mlp_glu(
                self.model,
                neuron_selection_method="PPM" if is_own else str(pruning.method),
                pruning_percentage=exact_percent(len(scores), width) if pruning.asked else share,
                expansion_divisor=pruning.divisor,
                layer_indices=[index],
                # OptiPFair removes the neurons with the highest values.
                fairness_scores={index: 1.0 - ranks / len(scores)} if is_own else None,
                show_progress=False,
            )
        if home.type == "meta":
            return
        kept = torch.topk(ranks if is_own else scores, width).indices.sort().values.to(home)  # (width,)
        for name, tensor in mlp.named_parameters():
            if not torch.equal(tensor, kept_part(name, originals[name], kept)):
                raise VerificationError(
                    f"layer {index}: the kept part of {name} does not belong to the {width} neurons with the highest "
                    f"{pruning.method} scores; this OptiPFair prunes differently, install the one in constraints.txt"
                )
        down = originals["down_proj.weight"]
        removed = removed_of(kept, pruning, scores, down, self._activations.get(index))
        self.kept[index] = Kept(kept.to(torch.int64).cpu(), removed)

    def pruned_copy(self, index: int) -> Any:
        """A pruned copy of the MLP of one layer; the model itself stays as it is."""
        layer = glu_layers_unchecked(self.model)[index]
        original, config = layer.mlp, self.model.config
        layer.mlp = copy.deepcopy(original)
        try:
            self.prune_layer(index)
            return layer.mlp
        finally:
            layer.mlp = original
            config.intermediate_size = self._unpruned_width  # OptiPFair has set it to the pruned width

    def result(self, unpruned_parameters: int, prune_s: float) -> PruningResult:
        """Verify the widths of the model, now pruned, and describe it.

        Raises:
            VerificationError: if a width differs from the requested one.
        """
        layers, pruning = glu_layers_unchecked(self.model), self.pruning
        _verify_widths(layers, self.widths)
        pruned = pruning.pruned_layers(len(layers))
        width = self.widths[pruned[0]] if pruned else self.widths[0]
        hidden_size = layers[0].mlp.gate_proj.in_features
        digest = hashlib.sha256()
        for index in sorted(self.kept):
            digest.update(self.kept[index].kept.numpy().tobytes())
        if pruned and len(set(self.widths)) > 1:  # OptiPFair has set it to the pruned width
            self.model.config.intermediate_size = self._unpruned_width
        return PruningResult(
            percent=pruning.percent,
            method=pruning.selection.key if pruned else None,
            divisor=pruning.divisor,
            layers=as_ranges(pruned) if pruning.layers and pruned else None,
            percent_of=str(pruning.percent_of),
            hidden_size=hidden_size,
            unpruned_width=self._unpruned_width,
            asked_width=width,
            width=width,
            widths=list(self.widths),
            expansion_ratio=mean_ratio(self.widths, hidden_size),
            **{f"width_mod_{n}": width % n for n in _ALIGNMENTS},
            parameters=count_parameters(self.model),
            unpruned_parameters=unpruned_parameters,
            attention=attention_shape(self.model),
            kept_neurons=digest.hexdigest() if self.kept else None,
            calibration=self._calibration.source if self._calibration else None,
            removed=Removed.of({index: kept.removed for index, kept in self.kept.items()}) if self.kept else None,
            prune_s=prune_s,
        )


def kept_part(name: str, original: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The part of a parameter that belongs to the neurons `kept`: rows, or columns of the down projection."""
    if name == "down_proj.bias":  # one number per hidden dimension
        return original
    return original[:, kept] if name == "down_proj.weight" else original[kept]


def _verify_widths(layers: Any, asked: tuple[int, ...]) -> None:
    for index, (layer, width) in enumerate(zip(layers, asked, strict=True)):
        mlp = layer.mlp
        found = {mlp.gate_proj.out_features, mlp.up_proj.out_features, mlp.down_proj.in_features}
        if found != {width}:
            raise VerificationError(f"layer {index}: width {sorted(found)} after pruning instead of {width}")


@contextmanager
def _preserved_randomness(device_type: str) -> Iterator[None]:
    """Restore torch's random state after the block, because OptiPFair's new layers draw random weights."""
    import torch

    with torch.random.fork_rng(enabled=device_type != "meta"):
        yield
