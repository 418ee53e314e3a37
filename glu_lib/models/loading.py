"""Loading a model variant onto a device, or building its bare shape; releasing it again."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError
from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.machine.environment import Environment
from glu_lib.machine.memory import free_bytes
from glu_lib.models.checkpoint import check_files
from glu_lib.models.identity import ModelIdentity, check_unchanged, first_line, with_patience
from glu_lib.models.vocabulary import check_vocabulary, settle_filler
from glu_lib.models.weights import check_loading, check_stored, check_tied, load_on_meta, quiet_report, stored_tensors
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant
from glu_lib.study.architecture import Architecture

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(slots=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer; `load_s` is seconds from disk to device.

    `own_limits` are the limits of answers that its generation configuration came with, by name.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    load_s: float
    own_limits: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: str) -> None:
        """Write the model, with its own limits of answers, and its tokenizer to a folder."""
        config: Any = self.model.generation_config
        for name, value in self.own_limits.items():
            setattr(config, name, value)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        _take_out_limits(self.model)


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A model's shape on the meta device and its tokenizer; `unseen_weights` says why no header could be read."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    unseen_weights: str | None


def load_model(variant: ModelVariant, identity: ModelIdentity, environment: Environment) -> LoadedModel:
    """Load the weights that `identity` names, in the environment's dtype, on its device.

    Only safetensors are read, nothing but the model's own files is loaded (`check_files`) and no code of the
    repository is run. Random weights come with the embedded model's tokenizer, whose word is a token.

    Raises:
        AccessError: if a file is missing, refused or unreadable.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_memory(variant, environment)
    if identity.is_random:
        return _build_random(variant, environment)
    check_files(variant, identity)
    source = str(identity.folder) if identity.folder else identity.source
    start_s = time.perf_counter()
    where = {"revision": identity.commit or "main", "local_files_only": identity.is_offline}
    try:
        tokenizer = with_patience(lambda: AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where))
        # What the checkpoint lacks, or holds in another shape, transformers would draw at random and only report.
        with quiet_report():
            with_info: Any = with_patience(
                lambda: AutoModelForCausalLM.from_pretrained(
                    source,
                    dtype=getattr(torch, environment.dtype),
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    **where,
                )
            )
        model: PreTrainedModel = with_info[0]
        check_loading(variant, with_info[1])
        check_tied(variant, model)
        check_stored(variant, model, stored_tensors(variant, identity))
        rows = embedding_rows(model)
        check_vocabulary(variant, tokenizer, rows)
        settle_filler(tokenizer, rows)
        check_unchanged(variant, identity)
        own_limits = _take_out_limits(model)
    except AccessError:
        raise
    except Exception as error:  # foreign files make transformers raise anything
        reason = _does_not_fit(variant, environment) if is_out_of_memory(error) else _cannot_be_loaded(variant, error)
        raise AccessError(reason) from error
    try:
        model.to(environment.device).eval()  # type: ignore[arg-type]  # the wrapper hides Module.to's overloads
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise AccessError(_does_not_fit(variant, environment)) from error
    return LoadedModel(model, tokenizer, time.perf_counter() - start_s, own_limits)


def inspect_model(variant: ModelVariant, identity: ModelIdentity) -> InspectedModel:
    """The model's shape on the meta device, after a look at its tokenizer and at the headers of its weights.

    Raises:
        AccessError: if a file is missing or unreadable, or the tensors are not the model's, as far as that shows
            without reading the weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    check_files(variant, identity)
    source = str(identity.folder) if identity.folder else identity.source
    where = {"revision": identity.commit or "main", "local_files_only": identity.is_offline}
    try:
        config = with_patience(lambda: AutoConfig.from_pretrained(source, trust_remote_code=False, **where))
        tokenizer = with_patience(lambda: AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where))
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        unseen = _inspect_weights(variant, identity, model)
        check_vocabulary(variant, tokenizer, embedding_rows(model))
        settle_filler(tokenizer, embedding_rows(model))
    except AccessError:
        raise
    except Exception as error:  # foreign files make transformers raise anything
        raise AccessError(_cannot_be_loaded(variant, error)) from error
    return InspectedModel(model, tokenizer, unseen)


def _inspect_weights(variant: ModelVariant, identity: ModelIdentity, model: PreTrainedModel) -> str | None:
    """Compare the headers of the weights with `model`; why that was not possible, None if it was."""
    try:
        stored = stored_tensors(variant, identity)
    except AccessError:
        raise
    except Exception as error:
        if identity.folder:
            raise
        return first_line(error)  # a hub that gives whole files only, or is too busy
    check_loading(variant, load_on_meta(model, stored))
    check_stored(variant, model, stored)
    return None


def _does_not_fit(variant: ModelVariant, environment: Environment) -> str:
    return (
        f"model {variant.key} does not fit on {environment.device} in {environment.dtype}; "
        "free memory, choose a 16-bit --dtype, another --device or a smaller model"
    )


def _cannot_be_loaded(variant: ModelVariant, error: Exception) -> str:
    # What transformers words itself says what is wrong; a slip of its own (KeyError: 'x') needs its kind beside it.
    kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
    return (
        f"model {variant.key} ({variant.source}) cannot be loaded: {kind}{first_line(error)} "
        "(a configuration, a tokenizer and weights as safetensors are needed; no code of a repository is run)"
    )


def check_memory(variant: ModelVariant, environment: Environment) -> None:
    """Refuse a model whose weights alone do not fit, before gigabytes are downloaded and the machine swaps.

    Raises:
        AccessError: naming what is needed, what is free and what to do. Models of unknown shape pass.
    """
    if variant.architecture is None:
        return
    needed = variant.architecture.parameters() * environment.dtype.bytes
    free = free_bytes(environment.device)
    if needed > free:
        raise AccessError(
            f"model {variant.key} needs {needed / 1e9:.1f} GB in {environment.dtype}, {free / 1e9:.1f} GB are free on "
            f"{environment.device}; free memory, choose a 16-bit --dtype, another --device or a smaller model"
        )


def build_on_meta(shape: Architecture) -> PreTrainedModel:
    """A Llama of the declared shape without any weights: parameters exist on the meta device only."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(_llama_config(shape), trust_remote_code=False)
    return model


def _build_random(variant: ModelVariant, environment: Environment) -> LoadedModel:
    """A Llama of the declared shape, its weights drawn by the run's seed, made on the device."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert variant.architecture is not None
    start_s = time.perf_counter()
    torch.manual_seed(environment.seed)
    config = _llama_config(variant.architecture)
    try:
        with torch.device(environment.device):
            model = AutoModelForCausalLM.from_config(
                config, dtype=getattr(torch, environment.dtype), trust_remote_code=False
            )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise AccessError(_does_not_fit(variant, environment)) from error
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR, trust_remote_code=False)
    return LoadedModel(model.eval(), tokenizer, time.perf_counter() - start_s)


def _llama_config(shape: Architecture) -> PretrainedConfig:
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocab_size,
        tie_word_embeddings=shape.tied_embeddings,
        max_position_embeddings=shape.max_positions,
        rms_norm_eps=shape.rms_norm_eps,
        rope_parameters={"rope_theta": shape.rope_theta, "rope_type": "default", **dict(shape.rope_scaling)},
    )


def count_parameters(model: Module) -> int:
    """Parameters of a model, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _take_out_limits(model: PreTrainedModel) -> dict[str, Any]:
    """Drop, and return, the length and time limits of the model's own generation configuration.

    The task or workload has its own. Given in the model's, `max_new_tokens` comes before the limit that lm-eval gives,
    and `max_time` ends an answer anywhere.
    """
    config: Any = model.generation_config
    found = {name: value for name in _LIMITS if (value := getattr(config, name, None)) is not None}
    for name in found:
        setattr(config, name, None)
    return found


def embedding_rows(model: PreTrainedModel) -> int:
    """Token ids that the model has an embedding for: 0 up to this number."""
    embedding: Any = model.get_input_embeddings()
    return int(embedding.weight.shape[0])


def end_tokens(model: PreTrainedModel) -> frozenset[int]:
    """The token ids that end a text, as the model's generation configuration has them."""
    config: Any = model.generation_config
    found = config.eos_token_id
    return frozenset(found if isinstance(found, list) else [] if found is None else [found])


_LIMITS = ("max_new_tokens", "min_new_tokens", "max_time", "min_length", "stop_strings")
# What the parameter count of a declared shape depends on, as transformers' configurations call it.
_SHAPE_FIELDS = {
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "vocab_size": "vocab_size",
    "tied_embeddings": "tie_word_embeddings",
}


def check_architecture(variant: ModelVariant, model: PreTrainedModel) -> None:
    """Compare the loaded model's shape with the one the study declares.

    Raises:
        AccessError: if they differ; widths and ratios of every level would be wrong.
    """
    shape = variant.architecture
    if shape is None:
        return
    for name, theirs in _SHAPE_FIELDS.items():
        declared, found = getattr(shape, name), getattr(model.config, theirs, None)
        if found is not None and declared != found:  # some configurations leave the size of a head to arithmetic
            raise AccessError(
                f"model {variant.key}: the study declares {name} {declared}, the weights have {found}; "
                "correct the study or the model's source"
            )
    if (declared := shape.parameters()) != (found := count_parameters(model)):
        raise AccessError(
            f"model {variant.key}: a Llama of the declared shape has {declared:,} parameters, the model has {found:,} "
            "(biases or norms of another family); leave the shape out of the study"
        )


def release_memory() -> None:
    """Give back what a dropped model held, on the host and on the GPU."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
