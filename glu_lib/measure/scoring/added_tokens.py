"""Remove the tokens that a tokenizer appends to every text, because prompts and contexts continue. Needs no torch."""

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
_PROBES = ("a", "the", "1", "?")  # test texts; the first that the tokenizer can encode decides
_MORE_PROBES = 100  # entries of the vocabulary to try if the tokenizer cannot encode these


def without_end(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return the tokenizer, or a copy that appends nothing to a text. Tokens that it puts before a text stay.

    If the context ends with an end-of-text token, the model predicts the beginning of a new text instead of the
    answer. lm-eval's `_encode_pair` splits after the context's length, so that the answer would lose its first token
    and the end-of-text token would be scored instead. Examples of such tokenizers are the template `$A <eos>`,
    `add_eos_token` and BERT's `[CLS] $A [SEP]`.

    Raises:
        MeasurementError: if the copy still appends tokens.
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
            f"the tokenizer appends {names} to every text, and answers cannot be scored after it; "
            "remove it from the tokenizer's post-processor"
        )
    _LOGGER.info("the tokenizer appends %s to every text; it is removed, because scored texts continue there", names)
    return plain  # type: ignore[no-any-return]


def _added(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The token ids that the tokenizer adds before and after a text."""
    for text in _texts(tokenizer):
        try:
            plain, whole = tokenizer.encode(text, add_special_tokens=False), tokenizer.encode(text)
        except Exception:  # a tokenizer without UNK raises on unknown text
            continue
        for start in range(len(whole) - len(plain) + 1) if plain else ():
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
    return [], []


def _texts(tokenizer: Any) -> Iterator[str]:
    """Test texts for a tokenizer: common ones first, then entries of its vocabulary."""
    yield from _PROBES
    yield from islice(tokenizer.get_vocab(), _MORE_PROBES)


def _set_template(tokenizer: Any, head: list[int]) -> None:
    """Make a tokenizer of the `tokenizers` library add `head` before a text and nothing else."""
    from tokenizers.processors import TemplateProcessing

    tokens = tokenizer.convert_ids_to_tokens(head)
    # "HEAD" stands for the tokens, because a token's own text may contain characters with a meaning in the template.
    pieces = [{"id": "HEAD", "ids": head, "tokens": tokens}] if head else []
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=["HEAD", "$A"] if head else ["$A"], special_tokens=pieces
    )
