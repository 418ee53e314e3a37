"""Check that a checkpoint's tensors fit the model: names, shapes and dtypes, from its headers and after loading."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, one_line
from glu_lib.models.checkpoint import INDEX, SINGLE, WEIGHTS, named_weights
from glu_lib.models.hub_access import with_patience
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.model_files import json_file, model_file
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# safetensors' names of floating-point dtypes. Integer tensors would be quantized weights, with scales elsewhere.
_PLAIN_NUMBERS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
_SHOWN_NAMES, _LONGEST_NAME = 3, 80
_GGUF_REMEDY = "tensors and header of a GGUF file must fit together: download it again, or use safetensors"
_REMEDY = "weights and config.json must fit together: correct config.json, or save or download the model again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as described in its file's header: safetensors' name of the dtype, and the shape."""

    dtype: str
    shape: tuple[int, ...]


Stored = Mapping[str, StoredTensor]


def stored_tensors(variant: ModelVariant, identity: ModelIdentity) -> Stored:
    """The tensors in the weight files that transformers would load, read from the files' headers.

    For a hub model outside of the local cache, only the first bytes of each file are downloaded.

    Raises:
        AccessError: if a file is missing.
        Exception: errors of safetensors, the hub or the network, if a header cannot be read.
    """
    name = named_weights(variant, identity) or SINGLE
    if name.endswith(".safetensors") and (found := _header(identity, name)) is not None:
        return found
    index = name if name != SINGLE else INDEX
    path = model_file(variant, identity, index) if index.endswith(".json") else None
    if path is None:
        where = "in the local cache, and no hub answers" if identity.is_offline else "next to its config.json"
        raise AccessError(f"{_refused(variant)}there is no {name} {where}; safetensors weights are needed")
    tensors: dict[str, StoredTensor] = {}
    for shard in sorted(set(json_file(variant, path)["weight_map"].values())):
        header = _header(identity, shard)
        if header is None:
            raise AccessError(f"{_refused(variant)}its {index} names {shard!r}, which is missing; download it again")
        if twice := sorted(header.keys() & tensors.keys()):
            raise AccessError(f"{_refused(variant)}two of its weight files contain {_listed(twice)}; keep one of them")
        tensors |= header
    return tensors


def _header(identity: ModelIdentity, name: str) -> dict[str, StoredTensor] | None:
    """The header of one weight file, from disk or the hub; None if the file does not exist."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    assert WEIGHTS.fullmatch(name)  # `check_files` has refused other names
    if identity.folder is not None:
        return _local_header(path) if (path := identity.folder / name).is_file() else None
    cached = try_to_load_from_cache(identity.source, name, revision=identity.commit)
    if cached is not None or identity.is_offline:  # not None and not text: known to be missing in the repository
        return _local_header(Path(cached)) if isinstance(cached, str) else None
    try:
        found = with_patience(
            lambda: HfApi().parse_safetensors_file_metadata(identity.source, name, revision=identity.commit)
        )
    except EntryNotFoundError:
        return None
    return {key: StoredTensor(str(tensor.dtype), tuple(tensor.shape)) for key, tensor in found.tensors.items()}


def _local_header(path: Path) -> dict[str, StoredTensor]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
        return {name: StoredTensor(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}


def load_on_meta(model: PreTrainedModel, stored: Stored) -> dict[str, Any]:
    """Load tensors with these names and shapes but no values, and return transformers' loading report.

    The report lists missing, unexpected and mismatched tensors. The tensors are loaded on the meta device, so that
    transformers' rules for renamed, merged and tied tensors apply and no weights are read.
    """
    import torch

    state = {name: torch.empty(tensor.shape, device="meta") for name, tensor in stored.items()}
    with quiet_report():
        with_info: Any = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=state,
            device_map="meta",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    return dict(with_info[1])


@contextmanager
def quiet_report() -> Iterator[None]:
    """Keep transformers' long loading report out of the log; `check_loading` turns it into one line."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_error)  # a filter, because with a higher log level transformers would do more checks
    try:
        yield
    finally:
        logger.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def check_loading(variant: ModelVariant, info: Mapping[str, Any]) -> None:
    """Refuse a model with missing, unexpected or mismatched tensors.

    Args:
        variant: the model.
        info: loading report of `from_pretrained(..., output_loading_info=True, ignore_mismatched_sizes=True)`.

    Raises:
        AccessError: one line naming the tensors.
    """
    found = []
    if shapes := sorted(info["mismatched_keys"], key=lambda entry: _natural(entry[0])):
        texts = [f"{_clipped(name)} as {_shape(stored)} instead of {_shape(wanted)}" for name, stored, wanted in shapes]
        found.append(f"contain {_some(texts)}")
    if info["missing_keys"]:
        found.append(f"lack {_listed(info['missing_keys'])}")
    if info["unexpected_keys"]:
        found.append(f"contain {_listed(info['unexpected_keys'])}, which the model does not have")
    if found:
        remedy = _REMEDY if variant.gguf is None else _GGUF_REMEDY
        raise AccessError(f"{_refused(variant)}its weights {' and '.join(found)}; {remedy}")


def check_stored(variant: ModelVariant, model: PreTrainedModel, stored: Stored) -> None:
    """Refuse tensors that transformers would silently accept: integer weights, and two tensors for one parameter.

    Raises:
        AccessError: one line naming the tensors.
    """
    prefix = f"{model.base_model_prefix}."
    places: dict[str, str] = {}
    for name in stored:
        first = places.setdefault(name.removeprefix(prefix), name)
        if first != name:
            raise AccessError(
                f"{_refused(variant)}its weights contain {_clipped(first)} and {_clipped(name)} for the same "
                "parameter; keep one"
            )
    expected = {name.removeprefix(prefix): tensor for name, tensor in model.state_dict().items()}
    numbers = [
        (name, tensor.dtype)
        for name, tensor in stored.items()
        if tensor.dtype not in _PLAIN_NUMBERS
        and (place := expected.get(name.removeprefix(prefix))) is not None
        and place.is_floating_point()
    ]
    if numbers:
        texts = [f"{_clipped(name)} as {_clipped(dtype)}" for name, dtype in numbers]
        raise AccessError(
            f"{_refused(variant)}its weights contain {_some(texts)}; only floating-point weights can be pruned: name "
            "a model with those"
        )


def check_tied(variant: ModelVariant, model: PreTrainedModel) -> None:
    """Refuse a loaded model whose tied tensors differ, because lm-eval would tie them again and other code would not.

    Raises:
        AccessError: naming both tensors.
    """
    for target, source in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter(target) is not model.get_parameter(source):
            raise AccessError(
                f"{_refused(variant)}its config.json ties {target} to {source}, but its weights contain different "
                "tensors for them; set tie_word_embeddings to false, or save the model without the unused tensor"
            )


def _refused(variant: ModelVariant) -> str:
    place = variant.source if variant.gguf is None else f"{variant.source}/{variant.gguf}"
    return f"model {variant.key} ({place}) cannot be loaded: "


def _listed(names: Iterable[str]) -> str:
    return _some([_clipped(name) for name in sorted(names, key=_natural)])


def _some(texts: Sequence[str]) -> str:
    """The first few of `texts`, and how many more there are."""
    more = len(texts) - _SHOWN_NAMES
    return ", ".join(texts[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _clipped(name: str) -> str:
    """A name from a file, escaped and shortened for a message."""
    text = one_line(str(name))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts layer 2 before layer 10."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", name)]


def _shape(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes)) if len(sizes) else "a single number"
