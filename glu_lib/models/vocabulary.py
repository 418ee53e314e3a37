"""What a tokenizer must have for its model: ids that the embedding has, a BOS, EOS and PAD, a token for every sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, GluError, MeasurementError, one_line
from glu_lib.models.hub_access import first_line
from glu_lib.study import ModelVariant

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NAME_ONE = "name one in its tokenizer_config.json"
NO_BEGINNING = (
    "the tokenizer has neither a BOS nor an EOS token, so that a text has nothing to begin with and no task can be "
    f"scored; {_NAME_ONE}"
)
NO_END = (
    "the tokenizer has no EOS token, so that no generated answer has an end; "
    f"{_NAME_ONE}, or leave tasks with generated answers out for this model"
)
NO_FILLER = (
    "the tokenizer has no PAD, UNK, EOS or BOS token that the embedding has, so that texts make no batch; "
    f"{_NAME_ONE}, or leave out workloads with a batch size above 1"
)
_FILLERS = ("pad", "unk", "eos", "bos")  # lm-eval's order, and BOS: a filler is masked, whatever it is
_RARE = ("\N{RUNIC LETTER FEHU FEOH FE F}", "\N{CJK UNIFIED IDEOGRAPH-6F22}", "\N{ALCHEMICAL SYMBOL FOR GOLD}")
_SHOWN = 40  # signs of a token or a text in a message


def check_vocabulary(variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Refuse a tokenizer that is another model's: whose words, or BOS of each text, the embedding has no row for.

    Tokens that were added to a vocabulary (of images, for one) may lie beyond it: no text need have them. What a text
    has is looked at when it is encoded (`TextCheck`).

    Raises:
        AccessError: naming the first such token.
    """
    optional = tokenizer.added_tokens_decoder.keys() - ({tokenizer.bos_token_id} & set(tokenizer.encode("")))
    beyond = [
        (number, token) for token, number in tokenizer.get_vocab().items() if number >= rows and number not in optional
    ]
    if beyond:
        number, token = min(beyond)
        raise AccessError(
            f"model {variant.key} ({variant.source}) cannot be loaded: tokens of its tokenizer lie beyond the "
            f"{rows} rows of its embedding ({len(beyond)}, the first is {_shown(token)}, id {number}); "
            "take the tokenizer that belongs to these weights"
        )


def settle_filler(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Give `tokenizer` a PAD token that the embedding has, one of its own special tokens; it is left as it is without.

    A tokenizer without one would get a new token from lm-eval, for which the embedding has no row.
    """
    for name in _FILLERS:
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None and number < rows:
            tokenizer.pad_token = getattr(tokenizer, f"{name}_token")
            return


def has_filler(tokenizer: PreTrainedTokenizerBase, rows: int) -> bool:
    """Whether the PAD token is one that the embedding has."""
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id < rows


@dataclass(frozen=True, slots=True)
class TextCheck:
    """What has to be looked at in each text that is encoded, because of how its tokenizer is made.

    `beyond` are tokens by id that the embedding has no row for; `drops_signs` says that a sign without a token is left
    out of a text instead of becoming UNK or bytes.
    """

    tokenizer: PreTrainedTokenizerBase
    rows: int
    beyond: Mapping[int, str]
    drops_signs: bool
    _has_token: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, rows: int) -> TextCheck:
        """The checks that texts of this tokenizer need for an embedding of `rows` rows."""
        beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
        return cls(tokenizer, rows, beyond, any(not _has_token(tokenizer, sign) for sign in _RARE))

    @contextmanager
    def encoding(self, text: str) -> Iterator[None]:
        """Tokenize `text` in this block.

        Raises:
            MeasurementError: if the tokenizer fails, or would leave a sign out.
        """
        with encoding(text):
            yield
        if self.drops_signs:
            self._check_signs(text)

    def check_ids(self, ids: Iterable[int]) -> None:
        """See that the embedding has a row for each of the tokens.

        Raises:
            MeasurementError: naming the first it has none for.
        """
        if not self.beyond:
            return
        for number in ids:
            if number >= self.rows:
                raise MeasurementError(
                    f"a text has the token {_shown(self.beyond.get(number, ''))} (id {number}), the embedding has "
                    f"{self.rows} rows; take the tokenizer that belongs to these weights, or leave out what needs such "
                    "texts for this model"
                )

    def _check_signs(self, text: str) -> None:
        for sign in dict.fromkeys(text):
            if sign not in self._has_token:
                self._has_token[sign] = not sign.isprintable() or _has_token(self.tokenizer, sign)
            if not self._has_token[sign]:
                raise MeasurementError(
                    f"the tokenizer has no token for {sign!r} and no UNK token, and would leave it out of "
                    f"{_shown(text)}; give it an UNK token, or leave out what needs such texts for this model"
                )


@contextmanager
def encoding(text: str) -> Iterator[None]:
    """Tokenize `text` in this block; tokenizers raise plain exceptions, of a sign for which there is no token for one.

    Raises:
        MeasurementError: if the tokenizer fails.
    """
    try:
        yield
    except GluError:
        raise
    except Exception as error:
        raise MeasurementError(
            f"the tokenizer cannot encode {_shown(text)} ({one_line(first_line(error))}); give it an UNK token, or "
            "leave out what needs such texts for this model"
        ) from error


def _has_token(tokenizer: Any, sign: str) -> bool:
    """Whether a sign that stands alone leaves something in the tokens; an error instead of tokens is no silence."""
    if sign.isspace():
        return True
    try:
        ids = tokenizer.encode(sign, add_special_tokens=False)
    except Exception:  # tokenizers raise plain exceptions
        return True
    return bool(tokenizer.decode(ids).strip())


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
