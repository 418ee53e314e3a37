"""Tokens that a tokenizer adds behind every text: left off, since a prompt and a context go on; no torch here."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LOGGER = logging.getLogger(__name__)
_PROBES = ("a", "the", "1", "?")  # one that the tokenizer has tokens for is enough
_MORE_PROBES = 100  # words of its own, where it has none for these


def without_end(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, or a copy of it that adds nothing behind a text; what it adds before a text stays.

    With an end of text behind the context, a model is asked how a new text begins; cut at the context's length, as
    lm-eval's `_encode_pair` does, the answer loses its first token and the end of text is scored in its place.
    Templates such as `$A <eos>`, `add_eos_token` and BERT's `[CLS] $A [SEP]` are of this kind.

    Raises:
        MeasurementError: if it goes on adding them.
    """
    head, tail = _added(tokenizer)
    if not tail:
        return tokenizer
    plain: Any = copy.deepcopy(tokenizer)
    if hasattr(plain, "backend_tokenizer"):
        _set_template(plain, head)
    else:
        plain.build_inputs_with_special_tokens = lambda tokens, _pair=None: [*head, *tokens]
    names = " ".join(tokenizer.convert_ids_to_tokens(tail))
    if _added(plain) != (head, []):
        raise MeasurementError(
            f"the tokenizer adds {names} behind every text, and answers cannot be scored behind that; "
            "take it out of the tokenizer's post-processor"
        )
    _LOGGER.info("the tokenizer adds %s behind every text; it is left off: what is scored goes on there", names)
    return plain  # type: ignore[no-any-return]


def _added(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids that the tokenizer adds before and behind a text."""
    for text in _texts(tokenizer):
        try:
            plain, whole = tokenizer.encode(text, add_special_tokens=False), tokenizer.encode(text)
        except Exception:  # without UNK a tokenizer raises where it has no token
            continue
        for start in range(len(whole) - len(plain) + 1) if plain else ():
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
    return [], []


def _texts(tokenizer: Any) -> Iterator[str]:
    """Texts to try a tokenizer with, words of its own at last."""
    yield from _PROBES
    yield from islice(tokenizer.get_vocab(), _MORE_PROBES)


def _set_template(tokenizer: Any, head: list[int]) -> None:
    """Let a tokenizer of the `tokenizers` library add only `head`, before a text."""
    from tokenizers.processors import TemplateProcessing

    tokens = tokenizer.convert_ids_to_tokens(head)
    # The piece has a name of ours: a token's own may hold what the template's language reads as a sign of its own.
    pieces = [{"id": "HEAD", "ids": head, "tokens": tokens}] if head else []
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=["HEAD", "$A"] if head else ["$A"], special_tokens=pieces
    )
