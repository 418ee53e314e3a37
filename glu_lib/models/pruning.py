"""Prune with OptiPFair, and verify widths and kept neurons."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import VerificationError
from glu_lib.models.glu import PROJECTIONS, glu_layers, import_optipfair
from glu_lib.models.neuron_scores import (
    OPTIPFAIR_METHODS,
    Batches,
    Calibration,
    activation_norms_of,
    neuron_scores,
)
from glu_lib.models.removed import Activations, Removed, activations_on, removed_of
from glu_lib.models.shapes import count_parameters
from glu_lib.study import Control, Method
from glu_lib.study.layers import as_ranges
from glu_lib.study.pruning import Pruning, mean_ratio

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ALIGNMENTS = (8, 64, 128)


@dataclass(frozen=True, slots=True)
class PruningResult:
    """The requested pruning and its result; sizes in neurons, `prune_s` in seconds.

    `width` is the width of the pruned layers, `widths` that of every layer; `layers` names the pruned layers if they
    are not all. The expansion ratio is the mean over all layers. `calibration` is the text that the method
    `hybrid` was calibrated on. `removed` says of each pruned layer what was removed.
    `kept_neurons` is the SHA-256 of the indices of the kept neurons of the pruned layers; None for the baseline, for
    controls and on the meta device, where no neurons are selected.
    """

    percent: int
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
    kept_neurons: str | None
    calibration: str | None
    removed: Removed | None
    prune_s: float

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Texts:
    """Functions that return batches of `input_ids` and `attention_mask`, called only if a pruning needs them.

    `calibration` is for the method `hybrid`, `fixed` for the activations of the removed neurons. None: no text.
    """

    calibration: Callable[[], Calibration] | None = None
    fixed: Callable[[], Batches] | None = None


def prune(model: PreTrainedModel, pruning: Pruning, texts: Texts | None = None) -> PruningResult:
    """Remove neurons from the MLPs of the layers that `pruning` names, in place, and verify every layer.

    Args:
        model: a GLU model whose gate, up and down projections have the same width in all layers.
        pruning: percentage, method, divisor and layers, or a control: without MLP all neurons are removed.
        texts: what the method `hybrid` is calibrated on, and the fixed text for the activations of the record.

    Returns:
        Widths, parameter counts, the fingerprint of the kept neurons, and what was removed.

    Raises:
        AccessError: if `model` is not a GLU model, or a score file does not fit it.
        StudyError: if the model lacks a layer that `pruning` names.
        VerificationError: if a width differs from the requested one, or a kept weight differs from the original.
    """
    layers = glu_layers(model)
    unpruned_parameters = count_parameters(model)
    start_s = time.perf_counter()
    cut = Cut(model, pruning, texts or Texts())
    if pruning.control is Control.NO_MLP:
        for layer in layers:
            _turn_off(layer.mlp)
    for index in pruning.pruned_layers(len(layers)):
        cut.prune_layer(index)
    return cut.result(unpruned_parameters, time.perf_counter() - start_s)


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
        layers = glu_layers(self.model)
        self._unpruned_width = layers[0].mlp.gate_proj.out_features
        self.widths = self.pruning.widths(self._unpruned_width, len(layers))
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
        width = self.widths[index]
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
                pruning_percentage=pruning.layer_percent(len(layers)),
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
        if len(set(self.widths)) > 1:  # OptiPFair has set it to the pruned width
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
            kept_neurons=digest.hexdigest() if self.kept else None,
            calibration=self._calibration.source if self._calibration else None,
            removed=Removed.of({index: kept.removed for index, kept in self.kept.items()}) if self.kept else None,
            prune_s=prune_s,
        )


def glu_layers_unchecked(model: PreTrainedModel) -> Any:
    """The decoder layers, whose widths may differ."""
    return import_optipfair().get_model_layers(model)


def _turn_off(mlp: Any) -> None:
    """Remove all neurons of an MLP, and its output's bias: its output is zero."""
    import torch

    for name in PROJECTIONS:
        projection = getattr(mlp, name)
        kept = projection.weight.detach()
        kept = kept[:, :0] if name == "down_proj" else kept[:0]
        # A copy: a view would keep the original weights in memory.
        projection.weight = torch.nn.Parameter(kept.clone())
        projection.bias = None
        projection.out_features, projection.in_features = projection.weight.shape


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
