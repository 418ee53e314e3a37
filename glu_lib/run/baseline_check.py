"""Check of a checkpoint beside its baseline: the widths of the level that it names, and the same tokenizer."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from glu_lib.errors import AccessError, MeasurementError, StudyError
from glu_lib.models.fixed_text import FixedText, encoded, texts_of
from glu_lib.models.glu import glu_layers_unchecked
from glu_lib.models.hub_access import cannot_be_loaded
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.own_shapes import settled
from glu_lib.models.pretrained import pretrained
from glu_lib.run.identities import Identities
from glu_lib.study import ModelVariant, Study
from glu_lib.study.baselines import LEAVE_OUT, check_level

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PASSAGES = 4  # of the fixed text, which has no end for the embedded model
_SHOWN = 40  # most characters of a token in a message


def check_baseline(
    variant: ModelVariant,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    study: Study,
    identities: Identities,
    weight_bytes: int,
) -> None:
    """Check that `variant` can be compared with the baseline that it names; nothing to check without one.

    The baseline's weights are not read, only its configuration and its tokenizer.

    Args:
        variant: the checkpoint.
        model: its model, with or without weights.
        tokenizer: its tokenizer.
        study: the study of both.
        identities: the models' sources.
        weight_bytes: size of one weight in the run's dtype, in bytes.

    Raises:
        AccessError: if the baseline cannot be read, has no such level, or has other widths at it or another tokenizer.
    """
    if variant.baseline is None or identities.of(variant).is_random:
        return
    baseline = study.model(variant.baseline)
    try:
        identity = identities.of(baseline)
        baseline = settled(baseline, identity)
        theirs = _tokenizer_of(baseline, identity)
    except AccessError as error:
        raise AccessError(f"model {variant.key}: its baseline cannot be checked: {error}") from error
    _check_widths(variant, model, baseline, weight_bytes)
    if difference := _difference(tokenizer, theirs, baseline):
        raise AccessError(
            f"model {variant.key}: its tokenizer is not that of its baseline {baseline.key} ({difference}); save the "
            f"checkpoint with the baseline's tokenizer, or {LEAVE_OUT}"
        )


def _tokenizer_of(variant: ModelVariant, identity: ModelIdentity) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        with pretrained(identity) as (source, where):
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where)
    except Exception as error:  # with unknown files transformers may raise any exception
        raise AccessError(cannot_be_loaded(variant, error)) from error
    return found


def _check_widths(variant: ModelVariant, model: PreTrainedModel, baseline: ModelVariant, weight_bytes: int) -> None:
    if variant.level is None:
        return
    if baseline.architecture is None:
        raise AccessError(
            f"model {variant.key}: the shape of its baseline {baseline.key} is not known, so that its levels have no "
            "known widths; leave level out to compare by its own width"
        )
    projections = [layer.mlp.gate_proj for layer in glu_layers_unchecked(model)]
    widths = [found.out_features for found in projections]
    try:
        check_level(variant, baseline.architecture, widths, projections[0].in_features, weight_bytes)
    except StudyError as error:
        raise AccessError(str(error)) from error


def _difference(
    tokenizer: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, baseline: ModelVariant
) -> str | None:
    """How two tokenizers differ; None if they give the same tokens.

    Added tokens may differ, because checkpoints often get a token for padding.
    """
    added = {str(token) for found in (tokenizer, other) for token in found.added_tokens_decoder.values()}
    mine, theirs = (
        {token: number for token, number in found.get_vocab().items() if token not in added}
        for found in (tokenizer, other)
    )
    if differing := [token for token in theirs | mine if mine.get(token) != theirs.get(token)]:
        return f"{len(differing)} tokens differ, the first is {min(differing)[:_SHOWN]!r}"
    texts = list(islice(texts_of(baseline, FixedText.HELD_OUT), _PASSAGES))
    try:
        is_same = list(encoded(tokenizer, texts)) == list(encoded(other, texts))
    except MeasurementError as error:
        return str(error)
    return None if is_same else "a text gets other tokens"
