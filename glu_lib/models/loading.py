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
from glu_lib.models.hub_access import cannot_be_loaded, with_patience
from glu_lib.models.identity import ModelIdentity, check_unchanged
from glu_lib.models.shapes import llama_config
from glu_lib.models.vocabulary import check_vocabulary, settle_filler
from glu_lib.models.weights import check_loading, check_stored, check_tied, quiet_report, stored_tensors
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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
        reason = _does_not_fit(variant, environment) if is_out_of_memory(error) else cannot_be_loaded(variant, error)
        raise AccessError(reason) from error
    try:
        model.to(environment.device).eval()  # type: ignore[arg-type]  # the wrapper hides Module.to's overloads
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise AccessError(_does_not_fit(variant, environment)) from error
    return LoadedModel(model, tokenizer, time.perf_counter() - start_s, own_limits)


def _does_not_fit(variant: ModelVariant, environment: Environment) -> str:
    return (
        f"model {variant.key} does not fit on {environment.device} in {environment.dtype}; "
        "free memory, choose a 16-bit --dtype, another --device or a smaller model"
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


def _build_random(variant: ModelVariant, environment: Environment) -> LoadedModel:
    """A Llama of the declared shape, its weights drawn by the run's seed, made on the device."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert variant.architecture is not None
    start_s = time.perf_counter()
    torch.manual_seed(environment.seed)
    config = llama_config(variant.architecture)
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


def release_memory() -> None:
    """Give back what a dropped model held, on the host and on the GPU."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
