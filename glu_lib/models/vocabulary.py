"""Check that a tokenizer fits its model: ids within the embedding, BOS, EOS and PAD, a token for every character."""

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
    f"the tokenizer has neither a BOS nor an EOS token to put before a text, so that no task can be scored; {_NAME_ONE}"
)
NO_END = (
    "the tokenizer has no EOS token, so that generated answers cannot end; "
    f"{_NAME_ONE}, or leave tasks with generated answers out for this model"
)
NO_FILLER = (
    "the tokenizer has no PAD, UNK, EOS or BOS token within the embedding, so that texts cannot be padded to a batch; "
    f"{_NAME_ONE}, or leave out workloads with a batch size above 1"
)
_FILLERS = ("pad", "unk", "eos", "bos")  # lm-eval's order, then BOS; padding is masked, so that any token will do
_RARE = ("\N{RUNIC LETTER FEHU FEOH FE F}", "\N{CJK UNIFIED IDEOGRAPH-6F22}", "\N{ALCHEMICAL SYMBOL FOR GOLD}")
_SHOWN = 40  # most characters of a token or a text in a message


def check_vocabulary(variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Refuse a tokenizer of another model: one with ordinary tokens, or a BOS, that have no row in the embedding.

    Added tokens (such as image tokens) may be outside of the embedding, because a text need not contain them. Each
    text is checked when it is encoded (`TextCheck`).

    Raises:
        AccessError: naming the first token without a row.
    """
    optional = tokenizer.added_tokens_decoder.keys() - ({tokenizer.bos_token_id} & set(tokenizer.encode("")))
    beyond = [
        (number, token) for token, number in tokenizer.get_vocab().items() if number >= rows and number not in optional
    ]
    if beyond:
        number, token = min(beyond)
        raise AccessError(
            f"model {variant.key} ({variant.source}) cannot be loaded: its tokenizer has tokens without a row in "
            f"the embedding of {rows} rows ({len(beyond)}, the first is {_shown(token)}, id {number}); "
            "use the tokenizer that belongs to these weights"
        )


def settle_filler(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Set the PAD token of `tokenizer` to a special token that has a row in the embedding, if there is one.

    Without a PAD token, lm-eval would add a new one, which has no row in the embedding.
    """
    for name in _FILLERS:
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None and number < rows:
            tokenizer.pad_token = getattr(tokenizer, f"{name}_token")
            return


def has_filler(tokenizer: PreTrainedTokenizerBase, rows: int) -> bool:
    """Whether the tokenizer has a PAD token with a row in the embedding."""
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id < rows


@dataclass(frozen=True, slots=True)
class TextCheck:
    """The checks of encoded texts that a tokenizer needs.

    `beyond` holds the tokens without a row in the embedding, by id. `drops_signs` says that the tokenizer drops unknown
    characters instead of encoding them as UNK or bytes.
    """

    tokenizer: PreTrainedTokenizerBase
    rows: int
    beyond: Mapping[int, str]
    drops_signs: bool
    _has_token: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, rows: int) -> TextCheck:
        """The checks for a tokenizer and an embedding of `rows` rows."""
        beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
        return cls(tokenizer, rows, beyond, any(not _has_token(tokenizer, sign) for sign in _RARE))

    @contextmanager
    def encoding(self, text: str) -> Iterator[None]:
        """Context for tokenizing `text`.

        Raises:
            MeasurementError: if the tokenizer fails, or would drop a character.
        """
        with encoding(text):
            yield
        if self.drops_signs:
            self._check_signs(text)

    def check_ids(self, ids: Iterable[int]) -> None:
        """Check that the embedding has a row for each token.

        Raises:
            MeasurementError: naming the first token without a row.
        """
        if not self.beyond:
            return
        for number in ids:
            if number >= self.rows:
                raise MeasurementError(
                    f"a text contains the token {_shown(self.beyond.get(number, ''))} (id {number}), and the embedding "
                    f"has only {self.rows} rows; use the tokenizer that belongs to these weights, or leave out tasks "
                    "and workloads with such texts for this model"
                )

    def _check_signs(self, text: str) -> None:
        for sign in dict.fromkeys(text):
            if sign not in self._has_token:
                self._has_token[sign] = not sign.isprintable() or _has_token(self.tokenizer, sign)
            if not self._has_token[sign]:
                raise MeasurementError(
                    f"the tokenizer has no token for {sign!r} and no UNK token, and would drop it from "
                    f"{_shown(text)}; give it an UNK token, or leave out tasks and workloads with such texts for this "
                    "model"
                )


@contextmanager
def encoding(text: str) -> Iterator[None]:
    """Context for tokenizing `text` that explains errors; tokenizers raise plain exceptions, as for unknown characters.

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
            "leave out tasks and workloads with such texts for this model"
        ) from error


def _has_token(tokenizer: Any, sign: str) -> bool:
    """Whether a single character is encoded, or refused with an error, instead of being silently dropped."""
    if sign.isspace():
        return True
    try:
        ids = tokenizer.encode(sign, add_special_tokens=False)
    except Exception:  # tokenizers raise plain exceptions
        return True
    return bool(tokenizer.decode(ids).strip())


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
