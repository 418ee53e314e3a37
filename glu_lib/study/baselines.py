"""Checkpoints that are compared with another model, their baseline: recovered, distilled or pruned elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from glu_lib.errors import StudyError
from glu_lib.study.architecture import Architecture
from glu_lib.study.asked import Asked, Level, Quantity
from glu_lib.study.keys import unknown
from glu_lib.study.pruning import Pruning
from glu_lib.study.variants import ModelVariant

LEAVE_OUT = "leave baseline out to score it alone"


def level_name(level: Level | None) -> str | None:
    """A level as tables show it: `p40`, `2.4x`; None if no level is named."""
    return level if level is None else str(level) if isinstance(level, Asked) else f"p{level}"


def comparison_of(variant: ModelVariant) -> str:
    """What a checkpoint is compared with, `llama1b p40` or `llama1b`; empty without a baseline."""
    return " ".join(filter(None, (variant.baseline, level_name(variant.level))))


def check_level(
    variant: ModelVariant, shape: Architecture, widths: Sequence[int], hidden_size: int, weight_bytes: int | None
) -> None:
    """Check that a checkpoint has the widths of the level that it names; without a level all widths are right.

    Args:
        variant: the checkpoint.
        shape: of its baseline, unpruned.
        widths: neurons per MLP of each of its layers.
        hidden_size: its hidden size.
        weight_bytes: size of one weight in the run's dtype, in bytes; None if it is not known.

    Raises:
        StudyError: one line with the widths of both, or with the reason why the baseline has no such level.
    """
    if variant.level is None:
        return
    wanted = _level_widths(variant, variant.level, shape, weight_bytes)
    if (tuple(widths), hidden_size) != (wanted, shape.hidden_size):
        raise StudyError(
            f"{_place(variant)} has {described(wanted, shape.hidden_size)}, the checkpoint has "
            f"{described(widths, hidden_size)}; correct level, or leave it out to compare by its own width"
        )


def described(widths: Sequence[int], hidden_size: int) -> str:
    """Widths in words: `308 neurons per MLP in 4 layers at hidden size 128`."""
    few, many = min(widths), max(widths)
    neurons = f"{few}" if few == many else f"{few} to {many}"
    return f"{neurons} neurons per MLP in {len(widths)} layers at hidden size {hidden_size}"


def baseline_faults(models: Mapping[str, ModelVariant]) -> Iterator[str]:
    """One line for each model whose baseline is not a model of the study without a baseline, or lacks its level.

    Widths are compared where both shapes are known; otherwise when the checkpoint is loaded.
    """
    for model in models.values():
        if model.baseline is None:
            continue
        place = f"model {model.key!r}"
        if model.baseline == model.key:
            yield f"{place}: its baseline is itself; name the unpruned model that it was made from"
        elif model.baseline not in models:
            yield f"{place}: {unknown('baseline', model.baseline, models)}"
        elif (further := models[model.baseline].baseline) is not None:
            yield (
                f"{place}: its baseline {model.baseline!r} has a baseline itself ({further!r}); name an unpruned "
                "model, which has none"
            )
        else:
            yield from _level_fault(model, models[model.baseline].architecture)


def _level_fault(model: ModelVariant, shape: Architecture | None) -> Iterator[str]:
    if model.level is None or shape is None:
        return
    if isinstance(model.level, Asked) and model.level.quantity is Quantity.BYTES:
        return  # the run's dtype decides
    own = model.architecture
    try:
        if own is None:
            _level_widths(model, model.level, shape, None)
        else:
            check_level(model, shape, (own.intermediate_size,) * own.num_layers, own.hidden_size, None)
    except StudyError as error:
        yield str(error)


def _level_widths(
    variant: ModelVariant, level: Level, shape: Architecture, weight_bytes: int | None
) -> tuple[int, ...]:
    """The width of every layer's MLP, in neurons, at a level of a baseline of this shape."""
    pruning = Pruning(0).to(level, shape, weight_bytes) if isinstance(level, Asked) else Pruning(level)
    try:
        return pruning.widths(shape.intermediate_size, shape.num_layers)
    except StudyError as error:
        raise StudyError(f"{_place(variant)}: {error}") from error


def _place(variant: ModelVariant) -> str:
    return f"model {variant.key!r}: level {level_name(variant.level)} of its baseline {variant.baseline!r}"
