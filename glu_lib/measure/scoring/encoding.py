"""Token ids of request texts, computed once per text and cached for the model's other levels. Needs no torch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.packing import Tokens

_SHOWN = 40  # characters of a text in a message

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as token ids. Requests with the same context share one `context` array (4 bytes per token)."""

    context: array[int]
    continuation: Tokens

    @classmethod
    def of(cls, context: Iterable[int], continuation: Iterable[int]) -> Encoded:
        """A request from two sequences of token ids, with its own context array."""
        return cls(array("i", context), tuple(continuation))

    @property
    def size(self) -> int:
        """Tokens of both parts."""
        return len(self.context) + len(self.continuation)

    def inputs(self, max_length: int) -> Tokens:
        """Input of the forward pass: the last `max_length` tokens before the final token, which is only scored."""
        tokens = (*self.context, *self.continuation)[-(max_length + 1) :]
        return tokens[:-1]


def check_sizes(context: Sized, continuation: Sized, max_length: int) -> None:
    """Check that a request has a context token and a continuation that fits into the model's context.

    Raises:
        MeasurementError: if the context or the continuation is empty, or the continuation is too long.
    """
    if not len(context):
        raise MeasurementError("an empty context needs a first token; give the tokenizer a BOS token")
    if not 0 < len(continuation) <= max_length:
        raise MeasurementError(
            f"a continuation has {len(continuation)} tokens, and the model's context allows 1 to {max_length}; leave "
            "the task out for this model"
        )


@dataclass(slots=True)
class Encodings:
    """Cache of token ids by text, for all levels of a model. The caller must always use it with the same tokenizer.

    `controls` are the blind answers to choices and texts, by a digest of their requests.
    """

    controls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _contexts: dict[str, array[int]] = field(default_factory=dict)
    _whole_texts: dict[str, array[int]] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], Encoded] = field(default_factory=dict)
    _prompts: dict[tuple[str, int], tuple[Tokens, bool]] = field(default_factory=dict)

    def pair(self, context: str, continuation: str, encode: Encode) -> Encoded:
        """Token ids of a request, split into context and continuation as lm-eval's `_encode_pair` does.

        Context and continuation are encoded as one text; the tokens after the context's own tokens are the
        continuation. This gives P(continuation | context) only if the tokens of the whole text begin with those of the
        context. Blanks at the end of the context belong to the continuation, unless one token joins them to the
        context's last character (such as a colon and a line break).

        If one token covers the end of the context and the start of the continuation, lm-eval's split loses the
        beginning of the continuation, or all of it (EleutherAI/lm-evaluation-harness, issues 1053 and 1297). Such a
        pair is refused, because there is no agreed definition of its score. It does not occur in 14,421 pairs of the
        built-in suites' tasks with the tokenizers of Llama 3, SmolLM2 and stories260K.

        Args:
            context: the text before the continuation, not empty.
            continuation: the text that is scored.
            encode: turns text into token ids, with the model's special tokens before but not after the text.

        Raises:
            MeasurementError: if the tokens of the whole text do not begin with those of the context.
        """
        key = (context, continuation)
        if key not in self._pairs:
            whole = encode(context + continuation)
            for before in (context.rstrip(), context):
                shared = self.text(before, encode)
                if whole[: len(shared)] == shared.tolist():
                    break
            else:
                raise MeasurementError(
                    f"one token covers the end of the context {_end(context)} and the start of the answer "
                    f"{_beginning(continuation)}, so that the answer alone has no probability; put a blank or another "
                    "delimiter of the tokenizer between them, or leave the task out for this model"
                )
            self._pairs[key] = Encoded(shared, tuple(whole[len(shared) :]))
        return self._pairs[key]

    def text(self, text: str, encode: Encode) -> array[int]:
        """Token ids of a single text."""
        if text not in self._contexts:
            self._contexts[text] = array("i", encode(text))
        return self._contexts[text]

    def whole_text(self, text: str, encode: Encode) -> array[int]:
        """Token ids of a long text; `encode` adds the tokenizer's special tokens, so they are kept apart."""
        if text not in self._whole_texts:
            self._whole_texts[text] = array("i", encode(text))
        return self._whole_texts[text]

    def prompt(self, text: str, room: int, encode: Callable[[str, int], tuple[Tokens, bool]]) -> tuple[Tokens, bool]:
        """Token ids of a generation prompt, at most the last `room`, and whether the prompt was cut.

        Args:
            text: the prompt.
            room: most tokens of the prompt.
            encode: computes the result for a text and a room.
        """
        key = (text, room)
        if key not in self._prompts:
            self._prompts[key] = encode(text, room)
        return self._prompts[key]


def _end(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}")


def _beginning(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
