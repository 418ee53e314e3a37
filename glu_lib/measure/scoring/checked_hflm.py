"""lm-eval's `HFLM`, refusing in one line what its tokenizer cannot do for its model; both scorers encode through it."""

from __future__ import annotations

from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.chat import ChatHFLM
from glu_lib.models.loading import embedding_rows
from glu_lib.models.vocabulary import NO_BEGINNING, NO_END, TextCheck


class CheckedHFLM(ChatHFLM):
    """Encodes as `HFLM`; a text whose tokens the embedding has not, or which loses signs, is refused."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `HFLM`."""
        super().__init__(*args, **options)
        self._text_check = TextCheck.of(self.tokenizer, embedding_rows(self.model))

    @property
    def prefix_token_id(self) -> int:
        """The token that stands before a text without a context: BOS, or EOS where there is none.

        Raises:
            MeasurementError: if there is neither.
        """
        if (found := super().prefix_token_id) is None:
            raise MeasurementError(NO_BEGINNING)
        return int(found)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text.

        Raises:
            MeasurementError: if there is none.
        """
        if (found := super().eot_token_id) is None:
            raise MeasurementError(NO_END)
        return int(found)

    def tok_encode(self, string: str, *args: Any, **options: Any) -> list[int]:
        """Token ids of a text, arguments as `HFLM`.

        Raises:
            MeasurementError: if the tokenizer fails, leaves a sign out, or gives a token that the embedding has not.
        """
        with self._text_check.encoding(string):
            tokens: list[int] = super().tok_encode(string, *args, **options)
        self._text_check.check_ids(tokens)
        return tokens

    def tok_batch_encode(self, strings: Any, *args: Any, **options: Any) -> Any:
        """Padded token ids and mask of some texts, arguments and errors as `tok_encode`."""
        with self._text_check.encoding("\n".join(strings)):
            encoded = super().tok_batch_encode(strings, *args, **options)
        if self._text_check.beyond:
            self._text_check.check_ids(encoded[0].flatten().tolist())
        return encoded

    def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score requests (strings, context tokens, continuation tokens); a context may be the prefix token alone.

        Raises:
            MeasurementError: if that is a token that the embedding has not.
        """
        for _, context, _ in requests:
            self._text_check.check_ids(context[:1])
        return super()._loglikelihood_tokens(requests, *args, **options)
