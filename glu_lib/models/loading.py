"""Load a model variant onto a device, or build it with random weights."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError
from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.machine.environment import Environment
from glu_lib.machine.memory import free_bytes
from glu_lib.models.checkpoint import check_files
from glu_lib.models.gguf_file import as_plain_model
from glu_lib.models.glu import glu_layers
from glu_lib.models.hub_access import cannot_be_loaded, with_patience
from glu_lib.models.identity import ModelIdentity, check_unchanged
from glu_lib.models.model_files import model_file
from glu_lib.models.own_shapes import settled
from glu_lib.models.pretrained import pretrained
from glu_lib.models.shapes import config_of, set_layer_widths
from glu_lib.models.vocabulary import check_vocabulary, settle_filler
from glu_lib.models.weights import check_loading, check_stored, check_tied, quiet_report, stored_tensors
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(slots=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer; `load_s` is the loading time in seconds.

    `own_limits` holds the length and time limits that were removed from its generation configuration, by name.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    load_s: float
    own_limits: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: str) -> None:
        """Save the tokenizer and the model, with its original generation limits, to a folder.

        Raises:
            AccessError: if the layers have unlike widths and transformers cannot build this architecture with them.
        """
        set_layer_widths(self.model)
        config: Any = self.model.generation_config
        for name, value in self.own_limits.items():
            setattr(config, name, value)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        _take_out_limits(self.model)


def load_model(
    variant: ModelVariant, identity: ModelIdentity, environment: Environment, *, is_untrained: bool = False
) -> LoadedModel:
    """Load the weights that `identity` names, in the environment's dtype, onto its device.

    Only safetensors among the model's own files are loaded (`check_files`), and no code in the repository is run.
    Models with random weights get the embedded model's tokenizer. With `is_untrained` everything but the weights is
    the model's own, and the weights are as before training, drawn from the run's seed.

    Raises:
        AccessError: if a file is missing, refused or unreadable, the model does not fit into memory, or it is no GLU
            model.
    """
    from transformers import AutoTokenizer

    check_memory(settled(variant, identity), environment)
    if identity.is_random:
        return _build_random(variant, environment)
    check_files(variant, identity)
    start_s = time.perf_counter()
    try:
        with pretrained(identity) as (source, where):
            tokenizer = with_patience(lambda: AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where))
            config = _checked_config(variant, source, where)
            if is_untrained:
                model = _untrained(variant, identity, environment, config)
            else:
                model = _stored(variant, identity, environment, source, {"config": config, **where})
        rows = embedding_rows(model)
        check_vocabulary(variant, tokenizer, rows)
        settle_filler(tokenizer, rows)
        check_unchanged(variant, identity)
        own_limits = _take_out_limits(model)
    except AccessError:
        raise
    except Exception as error:  # with unknown files transformers may raise any exception
        reason = _does_not_fit(variant, environment) if is_out_of_memory(error) else cannot_be_loaded(variant, error)
        raise AccessError(reason) from error
    try:
        model.to(environment.device).eval()  # type: ignore[arg-type]  # the wrapper hides Module.to's overloads
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise AccessError(_does_not_fit(variant, environment)) from error
    return LoadedModel(model, tokenizer, time.perf_counter() - start_s, own_limits)


def _checked_config(variant: ModelVariant, source: str, where: dict[str, Any]) -> PretrainedConfig:
    """The model's configuration; what cannot be pruned is refused by it, before gigabytes of weights are downloaded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config: PretrainedConfig = with_patience(
        lambda: AutoConfig.from_pretrained(source, trust_remote_code=False, **where)
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(deepcopy(config), trust_remote_code=False)
    glu_layers(model, is_pruned=variant.baseline is None)
    return config


def _stored(
    variant: ModelVariant, identity: ModelIdentity, environment: Environment, source: str, where: dict[str, Any]
) -> PreTrainedModel:
    """The model with its stored weights, all of them checked."""
    import torch
    from transformers import AutoModelForCausalLM

    # transformers initialises missing or mismatched tensors at random and only reports it. They are refused below.
    with quiet_report():
        with_info: Any = with_patience(
            lambda: AutoModelForCausalLM.from_pretrained(
                source,
                dtype=getattr(torch, environment.dtype),
                use_safetensors=identity.gguf is None,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **where,
            )
        )
    model: PreTrainedModel = with_info[0]
    check_loading(variant, with_info[1])
    check_tied(variant, model)
    if identity.header is not None:
        as_plain_model(variant, model, identity.header)
        return model
    check_stored(variant, model, stored_tensors(variant, identity))
    return model


def _untrained(
    variant: ModelVariant, identity: ModelIdentity, environment: Environment, config: PretrainedConfig
) -> PreTrainedModel:
    """The model with the weights of its own initialisation; its stored weights are not read."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    # On the CPU, whatever the device is: the same seed then gives the same weights.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(environment.seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, environment.dtype), trust_remote_code=False
        )
    if path := model_file(variant, identity, "generation_config.json"):
        model.generation_config = GenerationConfig.from_pretrained(path.parent)
    return model


def _does_not_fit(variant: ModelVariant, environment: Environment) -> str:
    return (
        f"model {variant.key} does not fit on {environment.device} in {environment.dtype}; "
        "free memory, choose a 16-bit --dtype, another --device or a smaller model"
    )


def check_memory(variant: ModelVariant, environment: Environment) -> None:
    """Refuse a model whose weights alone do not fit into memory, before they are downloaded. Unknown shapes pass.

    Raises:
        AccessError: naming needed memory, free memory and the remedy.
    """
    if variant.architecture is None:
        return
    needed = variant.architecture.parameters() * environment.dtype.bytes
    free = free_bytes(environment.device)
    if needed > free:
        raise AccessError(
            f"model {variant.key} needs {needed / 1e9:.1f} GB in {environment.dtype}, but only {free / 1e9:.1f} GB are "
            f"free on {environment.device}; free memory, choose a 16-bit --dtype, another --device or a smaller model"
        )


def _build_random(variant: ModelVariant, environment: Environment) -> LoadedModel:
    """A Llama of the declared shape with random weights from the run's seed, created on the device."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert variant.architecture is not None
    start_s = time.perf_counter()
    torch.manual_seed(environment.seed)
    config = config_of(variant.architecture)
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


def _take_out_limits(model: PreTrainedModel) -> dict[str, Any]:
    """Remove the length and time limits from the model's generation configuration, and return them.

    Tasks and workloads set their own limits. In the model's configuration, `max_new_tokens` would override lm-eval's
    limit, and `max_time` could end an answer at any token.
    """
    config: Any = model.generation_config
    found = {name: value for name in _LIMITS if (value := getattr(config, name, None)) is not None}
    for name in found:
        setattr(config, name, None)
    return found


def embedding_rows(model: PreTrainedModel) -> int:
    """Number of rows of the model's embedding: token ids must be smaller."""
    embedding: Any = model.get_input_embeddings()
    return int(embedding.weight.shape[0])


def end_tokens(model: PreTrainedModel) -> frozenset[int]:
    """The end-of-text token ids of the model's generation configuration."""
    config: Any = model.generation_config
    found = config.eos_token_id
    return frozenset(found if isinstance(found, list) else [] if found is None else [found])


_LIMITS = ("max_new_tokens", "min_new_tokens", "max_time", "min_length", "stop_strings")
