"""Texts that ship with the package: the same for every run, so that numbers on them can be compared.

`held_out.txt` measures perplexity and activations, `calibration.txt` is for the method hybrid where a data set is too
short. Both are English prose, dialogue, instructions and some code, written for this package. The embedded model has
its own language: its texts come from its generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from importlib import resources
from itertools import chain, islice
from typing import TYPE_CHECKING

from glu_lib.errors import AccessError
from glu_lib.models.vocabulary import encoding
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

ROW_TOKENS = 512
EMBEDDED_ROW_TOKENS = 128  # the embedded model's context is 256 tokens
ROWS = 4


class FixedText(StrEnum):
    """A text of the package; the value is its file."""

    CALIBRATION = "calibration.txt"
    HELD_OUT = "held_out.txt"


_SEEDS = {FixedText.CALIBRATION: 7, FixedText.HELD_OUT: 8}  # of the embedded model's generator


def describe(variant: ModelVariant, text: FixedText) -> str:
    """What the text is, for done keys: the generator's seed, or the file and the first digits of its SHA-256."""
    if variant.is_embedded:
        return f"generator, seed {_SEEDS[text]}"
    return f"{text}, sha256 {hashlib.sha256(_file(text)).hexdigest()[:16]}"


def texts_of(variant: ModelVariant, text: FixedText) -> Iterator[str]:
    """The passages of the text; endless for the embedded model."""
    if variant.is_embedded:
        from glu_lib.nano.corpus import training_rows
        from glu_lib.nano.world import build_world

        yield from (" ".join(row.words) for row in training_rows(build_world(), _SEEDS[text], EMBEDDED_ROW_TOKENS))
    else:
        yield _file(text).decode()


def held_out_rows(variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, rows: int = ROWS) -> torch.Tensor:
    """Token ids of the held-out text in rows of a fixed length, (rows or fewer, tokens); no row shares a token.

    Rows are 512 tokens long (128 for the embedded model). If the tokenizer puts a token at the beginning of a text, it
    stands at the beginning of each row.

    Raises:
        AccessError: if the text gives less than one row.
    """
    import torch

    length = EMBEDDED_ROW_TOKENS if variant.is_embedded else ROW_TOKENS
    texts = texts_of(variant, FixedText.HELD_OUT)
    ids = list(islice(chain.from_iterable(encoded(tokenizer, texts)), rows * length))
    first = tokenizer.bos_token_id
    beginning = [first] if first is not None and ids[:1] == [first] else []
    body, step = ids[len(beginning) :], length - len(beginning)
    found = [beginning + body[start : start + step] for start in range(0, len(body) - step + 1, step)][:rows]
    if not found:
        raise AccessError(
            f"model {variant.key}: its tokenizer makes {len(ids)} tokens of the fixed text, a row needs {length}; "
            "choose a model whose tokenizer fits its weights"
        )
    return torch.tensor(found)


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Iterator[list[int]]:
    """The token ids of each text."""
    for text in texts:
        with encoding(text):
            ids: list[int] = tokenizer(text)["input_ids"]
        yield ids


def _file(text: FixedText) -> bytes:
    return (resources.files("glu_lib.models") / "texts" / text).read_bytes()
