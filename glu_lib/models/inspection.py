"""Inspect a model without loading its weights: shape, tokenizer, names and shapes of the stored tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glu_lib.errors import AccessError
from glu_lib.models.checkpoint import check_files
from glu_lib.models.gguf_file import check_elements
from glu_lib.models.hub_access import cannot_be_loaded, first_line, with_patience
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.loading import embedding_rows
from glu_lib.models.pretrained import pretrained
from glu_lib.models.vocabulary import check_vocabulary, settle_filler
from glu_lib.models.weights import check_loading, check_stored, load_on_meta, stored_tensors
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A model on the meta device with its tokenizer; `unseen_weights` says why the weights' headers were not read."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    unseen_weights: str | None


def inspect_model(variant: ModelVariant, identity: ModelIdentity) -> InspectedModel:
    """Build the model on the meta device, and check its tokenizer and the headers of its weights.

    Raises:
        AccessError: if a file is missing or unreadable, or the stored tensors do not fit the model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    check_files(variant, identity)
    try:
        with pretrained(identity) as (source, where):
            config = with_patience(lambda: AutoConfig.from_pretrained(source, trust_remote_code=False, **where))
            tokenizer = with_patience(lambda: AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where))
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        unseen = _inspect_weights(variant, identity, model)
        check_vocabulary(variant, tokenizer, embedding_rows(model))
        settle_filler(tokenizer, embedding_rows(model))
    except AccessError:
        raise
    except Exception as error:  # with unknown files transformers may raise any exception
        raise AccessError(cannot_be_loaded(variant, error)) from error
    return InspectedModel(model, tokenizer, unseen)


def _inspect_weights(variant: ModelVariant, identity: ModelIdentity, model: PreTrainedModel) -> str | None:
    """Compare the headers of the weights with `model`. Returns why the headers were not readable, else None."""
    if identity.header is not None:
        check_elements(variant, model, identity.header)
        return None
    try:
        stored = stored_tensors(variant, identity)
    except AccessError:
        raise
    except Exception as error:
        if identity.folder:
            raise
        return first_line(error)  # for example a hub that only serves whole files, or is too busy
    check_loading(variant, load_on_meta(model, stored))
    check_stored(variant, model, stored)
    return None
