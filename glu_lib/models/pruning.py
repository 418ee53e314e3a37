"""Prune with OptiPFair, and verify widths and kept neurons."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, VerificationError
from glu_lib.models.neuron_scores import Batches, activation_norms_of, neuron_scores
from glu_lib.models.shapes import count_parameters
from glu_lib.study import Control, Method
from glu_lib.study.architecture import pruned_width
from glu_lib.study.cases import Pruning

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ALIGNMENTS = (8, 64, 128)
_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
_GLU_ONLY = "this kind of width pruning does not apply; choose a Llama-style model"


@dataclass(frozen=True, slots=True)
class PruningResult:
    """The requested pruning and its result; sizes in neurons, `prune_s` in seconds.

    `kept_neurons` is the SHA-256 of the indices of the kept neurons of all layers; None for the baseline, for controls
    and on the meta device, where no neurons are selected.
    """

    percent: int
    method: str | None
    divisor: int | None
    hidden_size: int
    unpruned_width: int
    asked_width: int
    width: int
    expansion_ratio: float
    width_mod_8: int
    width_mod_64: int
    width_mod_128: int
    parameters: int
    unpruned_parameters: int
    kept_neurons: str | None
    prune_s: float

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def prune(
    model: PreTrainedModel,
    pruning: Pruning,
    *,
    seed: int,
    calibration: Callable[[], Batches] | None = None,
) -> PruningResult:
    """Remove neurons from every MLP of `model`, in place, and verify each layer.

    Args:
        model: a GLU model whose gate, up and down projections have the same width in all layers.
        pruning: percentage, method and divisor, or a control: without MLP all neurons are removed.
        seed: seed of the method `random`; the other methods are deterministic.
        calibration: returns the calibration batches (dictionaries of `input_ids` and `attention_mask`) for the method
            `hybrid`; not called for other methods.

    Returns:
        Widths, parameter counts and the fingerprint of the kept neurons.

    Raises:
        AccessError: if `model` is not a GLU model.
        VerificationError: if a width differs from the requested one, or a kept weight differs from the original.
    """
    optipfair = _import_optipfair()
    layers = glu_layers(model)
    unpruned_width = layers[0].mlp.gate_proj.out_features
    unpruned_parameters = count_parameters(model)
    asked_width = pruned_width(unpruned_width, pruning.percent, pruning.divisor)
    start_s = time.perf_counter()
    digest = hashlib.sha256()
    on_meta = model.device.type == "meta"
    selects = bool(pruning.percent) and pruning.control is None
    with _preserved_randomness(model.device.type):
        norms = activation_norms_of(optipfair, model, pruning, calibration)
        for layer in layers if pruning.control is Control.NO_MLP else []:
            _turn_off(layer.mlp)
        for index, layer in enumerate(layers if selects else []):
            scores = neuron_scores(layer.mlp, pruning.method, seed=seed, layer=index, activation_norms=norms.get(index))
            _prune_layer(optipfair, model, layer.mlp, index, pruning, asked_width, scores, digest)
    prune_s = time.perf_counter() - start_s
    width = _verified_width(layers, asked_width)
    hidden_size = layers[0].mlp.gate_proj.in_features
    return PruningResult(
        percent=pruning.percent,
        method=str(pruning.method) if selects else None,
        divisor=pruning.divisor,
        hidden_size=hidden_size,
        unpruned_width=unpruned_width,
        asked_width=asked_width,
        width=width,
        expansion_ratio=width / hidden_size,
        **{f"width_mod_{n}": width % n for n in _ALIGNMENTS},
        parameters=count_parameters(model),
        unpruned_parameters=unpruned_parameters,
        kept_neurons=digest.hexdigest() if selects and not on_meta else None,
        prune_s=prune_s,
    )


def glu_layers(model: PreTrainedModel) -> Sequence[Any]:
    """The decoder layers of `model`, each with a gate, an up and a down projection of the same width.

    Raises:
        AccessError: naming the first layer, counted from 0, of another kind or width.
    """
    layers: Sequence[Any] = _import_optipfair().get_model_layers(model)
    if not layers:
        raise AccessError(f"{type(model).__name__} is not a GLU model: it has no decoder layers; {_GLU_ONLY}")
    for index, layer in enumerate(layers):
        if fault := _fault(getattr(layer, "mlp", None)):
            raise AccessError(
                f"{type(model).__name__} is not a GLU model: layer {index} (counting from 0) {fault}; {_GLU_ONLY}"
            )
        first, found = layers[0].mlp.gate_proj, layer.mlp.gate_proj
        if (found.out_features, found.in_features) != (first.out_features, first.in_features):
            raise AccessError(
                f"{type(model).__name__}: layer {index} (counting from 0) has {found.out_features} neurons with "
                f"{found.in_features} inputs each, layer 0 has {first.out_features} with {first.in_features}; all "
                "layers must have the same width, choose another model"
            )
    return layers


def _fault(mlp: Any) -> str:
    """The reason why OptiPFair cannot prune an MLP; empty if it can."""
    import torch

    if mlp is None:
        return "has no MLP"
    parts = {name: part for name, part in mlp.named_children() if next(part.parameters(), None) is not None}
    if missing := [name for name in _PROJECTIONS if name not in parts]:
        have = f"; it has {', '.join(parts)}" if parts else ""
        return f"has no {', '.join(missing)} ({type(mlp).__name__}{have})"
    for name in _PROJECTIONS:
        if not isinstance(parts[name], torch.nn.Linear):
            return f"has a {name} that is not a linear layer ({type(parts[name]).__name__})"
    # Other weights, such as a norm over the neurons, would keep their width.
    own = [name for name, _ in mlp.named_parameters(recurse=False)]
    if others := [name for name in (*parts, *own) if name not in _PROJECTIONS]:
        return f"has {', '.join(others)} in addition to its projections ({type(mlp).__name__})"
    gate, up, down = (parts[name] for name in _PROJECTIONS)
    if not (gate.weight.shape == up.weight.shape == down.weight.T.shape):
        shapes = ", ".join(f"{name} {'×'.join(map(str, parts[name].weight.shape))}" for name in _PROJECTIONS)
        return f"has projections that do not fit together ({shapes})"
    return ""


def _prune_layer(
    optipfair: ModuleType,
    model: PreTrainedModel,
    mlp: Any,
    index: int,
    pruning: Pruning,
    width: int,
    scores: torch.Tensor,
    digest: Any,
) -> None:
    """Prune one MLP with OptiPFair, and check that the kept weights belong to the `width` highest scores.

    Layers are pruned one at a time, so that only one layer's original weights are in memory in addition to the model.
    """
    import torch

    originals: dict[str, torch.Tensor] = {name: tensor.detach() for name, tensor in mlp.named_parameters()}
    home = mlp.gate_proj.weight.device
    given = None
    if pruning.method in (Method.RANDOM, Method.HYBRID):
        # OptiPFair removes the neurons with the highest given values (in [0, 1]), so 1 − rank is passed. A rank instead
        # of a score, because rounding to float32 could change the order of scores.
        ranks = scores.argsort().argsort().double() / len(scores)
        given = {index: 1.0 - ranks}
    device = torch.device("meta" if home.type == "meta" else "cpu")
    with device:
        optipfair.prune_model_mlp_glu(
            model,
            neuron_selection_method="PPM" if given else str(pruning.method),
            pruning_percentage=pruning.percent,
            expansion_divisor=pruning.divisor,
            layer_indices=[index],
            fairness_scores=given,
            show_progress=False,
        )
    if home.type == "meta":
        return
    kept = torch.topk(scores, width).indices.sort().values.to(home)  # (width,)
    for name, tensor in mlp.named_parameters():
        if not torch.equal(tensor, _kept_part(name, originals[name], kept)):
            raise VerificationError(
                f"layer {index}: the kept part of {name} does not belong to the {width} neurons with the highest "
                f"{pruning.method} scores; this OptiPFair prunes differently, install the one in constraints.txt"
            )
    digest.update(kept.to(torch.int64).cpu().numpy().tobytes())


def _turn_off(mlp: Any) -> None:
    """Remove all neurons of an MLP, and its output's bias: its output is zero."""
    import torch

    for name in _PROJECTIONS:
        projection = getattr(mlp, name)
        kept = projection.weight.detach()
        kept = kept[:, :0] if name == "down_proj" else kept[:0]
        # A copy: a view would keep the original weights in memory.
        projection.weight = torch.nn.Parameter(kept.clone())
        projection.bias = None
        projection.out_features, projection.in_features = projection.weight.shape


def _kept_part(name: str, original: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The part of a parameter that belongs to the neurons `kept`: rows, or columns of the down projection."""
    if name == "down_proj.bias":  # one number per hidden dimension
        return original
    return original[:, kept] if name == "down_proj.weight" else original[kept]


def _verified_width(layers: Any, asked: int) -> int:
    for index, layer in enumerate(layers):
        mlp = layer.mlp
        found = {mlp.gate_proj.out_features, mlp.up_proj.out_features, mlp.down_proj.in_features}
        if found != {asked}:
            raise VerificationError(f"layer {index}: width {sorted(found)} after pruning instead of {asked}")
    return asked


@contextmanager
def _preserved_randomness(device_type: str) -> Iterator[None]:
    """Restore torch's random state after the block, because OptiPFair's new layers draw random weights."""
    import torch

    with torch.random.fork_rng(enabled=device_type != "meta"):
        yield


def _import_optipfair() -> ModuleType:
    """OptiPFair's pruning module; the changes of its import to the root logger are undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    import optipfair
    import optipfair.pruning.mlp_glu as mlp_glu

    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger(optipfair.__name__).setLevel(logging.WARNING)
    return mlp_glu  # type: ignore[no-any-return]
