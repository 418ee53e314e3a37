"""Token ids of request texts: computed once per text, kept for the next level of the same model; no torch here."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.packing import Tokens

_SHOWN = 40  # characters of a text in a message

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as token ids; `context` is shared by all requests with the same context, 4 bytes a token."""

    context: array[int]
    continuation: Tokens

    @classmethod
    def of(cls, context: Iterable[int], continuation: Iterable[int]) -> Encoded:
        """A request of its own."""
        return cls(array("i", context), tuple(continuation))

    @property
    def size(self) -> int:
        """Tokens of both parts."""
        return len(self.context) + len(self.continuation)

    def inputs(self, max_length: int) -> Tokens:
        """The last `max_length` tokens a forward pass needs: all but the last, which is only predicted."""
        tokens = (*self.context, *self.continuation)[-(max_length + 1) :]
        return tokens[:-1]


def check_sizes(context: Sized, continuation: Sized, max_length: int) -> None:
    """See that a request has tokens to score, and one before them.

    Raises:
        MeasurementError: if it has not, or if the continuation is longer than the model's context.
    """
    if not len(context):
        raise MeasurementError("an empty context without a token to begin with; give the tokenizer a BOS token")
    if not 0 < len(continuation) <= max_length:
        raise MeasurementError(
            f"a continuation of {len(continuation)} tokens: the model's context takes 1 to {max_length}; leave the "
            "task out for this model"
        )


@dataclass(slots=True)
class Encodings:
    """What one tokenizer made of texts. The caller sees to it that it is always the same tokenizer."""

    _contexts: dict[str, array[int]] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], Encoded] = field(default_factory=dict)
    _prompts: dict[tuple[str, int], tuple[Tokens, bool]] = field(default_factory=dict)

    def pair(self, context: str, continuation: str, encode: Encode) -> Encoded:
        """Both parts of a request, split as lm-eval's `_encode_pair` splits them, where that split is right.

        Both parts are encoded as one text, and what stands behind the context's own tokens is the continuation. That is
        P(continuation | context) only if the whole begins with the context's tokens. Blanks between the parts belong to
        the continuation; where a token joins them to the context's last sign (a colon and a line break), they stay
        there.

        Where a token reaches over the seam both ways, lm-eval's split drops the beginning of the continuation, or all
        of it (EleutherAI/lm-evaluation-harness, issues 1053 and 1297). None of 14,421 pairs of the built-in suites'
        tasks has such a token under the tokenizers of Llama 3, SmolLM2 and stories260K: such a pair is refused rather
        than given a definition of ours.

        Args:
            context: not empty.
            continuation: what is scored.
            encode: text to token ids, special tokens as the model wants them, none behind the text.

        Raises:
            MeasurementError: if the whole's tokens do not begin with the context's.
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
                    f"a token of the tokenizer reaches over the seam of the context {_end(context)} and the answer "
                    f"{_beginning(continuation)}, so that the answer has no probability of its own; let a blank or "
                    "another delimiter of the tokenizer stand between them, or leave the task out for this model"
                )
            self._pairs[key] = Encoded(shared, tuple(whole[len(shared) :]))
        return self._pairs[key]

    def text(self, text: str, encode: Encode) -> array[int]:
        """Token ids of a text that stands alone."""
        if text not in self._contexts:
            self._contexts[text] = array("i", encode(text))
        return self._contexts[text]

    def prompt(self, text: str, room: int, encode: Callable[[str, int], tuple[Tokens, bool]]) -> tuple[Tokens, bool]:
        """Token ids of a generation prompt, at most the last `room` of them, and whether some were cut off.

        Args:
            text: the prompt.
            room: tokens that fit.
            encode: gives them for a text and a room.
        """
        key = (text, room)
        if key not in self._prompts:
            self._prompts[key] = encode(text, room)
        return self._prompts[key]


def _end(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}")


def _beginning(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
