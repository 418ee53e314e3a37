"""lm-eval's `HFLM` with checks of the tokenizer: an error of one line for texts that it cannot encode for the model."""

from __future__ import annotations

from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.chat import ChatHFLM
from glu_lib.models.loading import embedding_rows
from glu_lib.models.vocabulary import NO_BEGINNING, NO_END, TextCheck


class CheckedHFLM(ChatHFLM):
    """Encodes as `HFLM`; refuses texts that lose characters, or whose tokens have no row in the embedding.

    Both scorers encode through this class.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `HFLM`."""
        super().__init__(*args, **options)
        self._text_check = TextCheck.of(self.tokenizer, embedding_rows(self.model))

    @property
    def prefix_token_id(self) -> int:
        """The token put before a text without a context: BOS, or EOS if the tokenizer has no BOS.

        Raises:
            MeasurementError: if the tokenizer has neither.
        """
        if (found := super().prefix_token_id) is None:
            raise MeasurementError(NO_BEGINNING)
        return int(found)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text.

        Raises:
            MeasurementError: if the tokenizer has none.
        """
        if (found := super().eot_token_id) is None:
            raise MeasurementError(NO_END)
        return int(found)

    def tok_encode(self, string: str, *args: Any, **options: Any) -> list[int]:
        """Token ids of a text; arguments as in `HFLM`.

        Raises:
            MeasurementError: if the tokenizer fails, drops a character, or returns a token that has no embedding row.
        """
        with self._text_check.encoding(string):
            tokens: list[int] = super().tok_encode(string, *args, **options)
        self._text_check.check_ids(tokens)
        return tokens

    def tok_batch_encode(self, strings: Any, *args: Any, **options: Any) -> Any:
        """Padded token ids and attention mask of several texts; arguments as in `HFLM`, errors as in `tok_encode`."""
        with self._text_check.encoding("\n".join(strings)):
            encoded = super().tok_batch_encode(strings, *args, **options)
        if self._text_check.beyond:
            self._text_check.check_ids(encoded[0].flatten().tolist())
        return encoded

    def score_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score requests (strings, context tokens, continuation tokens).

        A context may be the prefix token alone, which `tok_encode` does not check.

        Raises:
            MeasurementError: if the first token of a context has no embedding row.
        """
        for _, context, _ in requests:
            self._text_check.check_ids(context[:1])
        return super().score_tokens(requests, *args, **options)
