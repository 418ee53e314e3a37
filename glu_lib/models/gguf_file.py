"""GGUF files: what their header says, and their weights as an ordinary model of transformers."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError
from glu_lib.study import ModelVariant
from glu_lib.study.architecture import Architecture
from glu_lib.study.own_shape import shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PLAIN = frozenset({"F64", "F32", "F16", "BF16"})
_TEMPLATE, _ARCHITECTURE = "tokenizer.chat_template", "general.architecture"
# llama.cpp stores scaled rotary embeddings in these two ways. transformers reads neither, and would compute with
# unscaled ones without a word.
_LM_HEAD = "output.weight"
_CONFIG = {  # fields of the header, after the name of the architecture, and those of a config.json
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.dimension_count": "head_dim",
    "rope.freq_base": "rope_theta",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
}
_ROPE_TENSOR, _ROPE_FIELD, _NO_SCALING = "rope_freqs.weight", "{}.rope.scaling.type", ("none", None)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself.

    `stored_as` is the number format that holds most weights, as in `dequantized Q4_1`; `elements` is the number of
    values in all tensors; `chat_template` is None if the file has none; `shape` is None if the header does not say it.
    """

    stored_as: str
    elements: int
    chat_template: str | None
    shape: Architecture | None = None


def read_header(variant: ModelVariant, path: Path) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises:
        AccessError: if the package `gguf` is missing, the file cannot be read, or transformers would misread it.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise AccessError(
            f"model {variant.key}: {path.name} needs the package gguf, which is not installed; "
            'install it: pip install -e ".[gguf]"'
        ) from error
    try:
        reader: Any = GGUFReader(path)
        fields = {name: reader.fields[name].contents() for name in reader.fields if _is_wanted(name)}
        tensors = [(str(tensor.name), tensor.tensor_type.name, int(tensor.n_elements)) for tensor in reader.tensors]
    except Exception as error:  # with a damaged file the reader may raise any exception
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise AccessError(
            f"model {variant.key}: {path.name} cannot be read as a GGUF file ({reason}); download it again"
        ) from error
    scaling = fields.get(_ROPE_FIELD.format(fields.get(_ARCHITECTURE)))
    if scaling not in _NO_SCALING or any(name == _ROPE_TENSOR for name, _, _ in tensors):
        raise AccessError(
            f"model {variant.key}: {path.name} has scaled rotary embeddings, which transformers does not read from "
            "GGUF files, so all scores would be wrong; use the safetensors checkpoint of the model"
        )
    sizes: Counter[str] = Counter()
    for _, format_, elements in tensors:
        sizes[format_] += elements
    if not sizes:
        raise AccessError(f"model {variant.key}: {path.name} holds no tensors; name the file with the weights")
    most = sizes.most_common(1)[0][0]
    stored_as = f"{most} from GGUF" if most in _PLAIN else f"dequantized {most}"
    shape = shape_of(_config(fields, is_tied=all(name != _LM_HEAD for name, _, _ in tensors)))
    if shape is not None and shape.parameters() != sizes.total():
        shape = None  # a model of the family with something more, which the shape cannot say
    return GgufHeader(stored_as, sizes.total(), fields.get(_TEMPLATE), shape)


def _is_wanted(field: str) -> bool:
    return field in (_TEMPLATE, _ARCHITECTURE) or field.partition(".")[2] in (*_CONFIG, "rope.scaling.type")


def _config(fields: Mapping[str, Any], *, is_tied: bool) -> dict[str, Any]:
    """The header's sizes under the names of a config.json."""
    family = fields.get(_ARCHITECTURE)
    found = {ours: fields[f"{family}.{theirs}"] for theirs, ours in _CONFIG.items() if f"{family}.{theirs}" in fields}
    return found | {"model_type": family, "tie_word_embeddings": is_tied}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(path: Path) -> Iterator[Path]:
    """A temporary folder that holds nothing but this file, as a link where the system allows one.

    transformers would read a configuration, a chat template or tokens that lie beside the file, which its digest does
    not cover.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / path.name
        try:
            place.symlink_to(path.resolve())
        except OSError:
            shutil.copyfile(path, place)
        yield Path(folder)


def check_elements(variant: ModelVariant, model: PreTrainedModel, header: GgufHeader) -> None:
    """Compare the number of values in a GGUF file with the model's, because transformers leaves tensors out silently.

    Raises:
        AccessError: if they differ.
    """
    found = sum(parameter.numel() for parameter in model.parameters())
    if found != header.elements:
        raise AccessError(
            f"model {variant.key} ({variant.source}) cannot be loaded: {variant.gguf} holds {header.elements:,} "
            f"values, but the model of its header has {found:,}; use the safetensors checkpoint of the model"
        )


def as_plain_model(variant: ModelVariant, model: PreTrainedModel, header: GgufHeader) -> None:
    """Make a model that transformers dequantized from GGUF an ordinary one, which can be pruned and saved.

    Raises:
        AccessError: if the file and the model hold different numbers of values.
    """
    check_elements(variant, model, header)
    loaded: Any = model
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    for name in ("hf_quantizer", "quantization_method"):
        if hasattr(loaded, name):
            delattr(loaded, name)
    loaded.is_quantized = False
