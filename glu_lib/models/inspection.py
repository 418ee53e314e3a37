"""A model looked at before it is loaded: its shape, its tokenizer, the names and shapes of its stored weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glu_lib.errors import AccessError
from glu_lib.models.checkpoint import check_files
from glu_lib.models.hub_access import cannot_be_loaded, first_line, with_patience
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.loading import embedding_rows
from glu_lib.models.vocabulary import check_vocabulary, settle_filler
from glu_lib.models.weights import check_loading, check_stored, load_on_meta, stored_tensors
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A model's shape on the meta device and its tokenizer; `unseen_weights` says why no header could be read."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    unseen_weights: str | None


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
        raise AccessError(cannot_be_loaded(variant, error)) from error
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
