"""Token ids of request texts: computed once per text, kept for the next level of the same model; no torch here."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from glu_lib.scoring.packing import Tokens

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


@dataclass(slots=True)
class Encodings:
    """What one tokenizer made of texts. The caller sees to it that it is always the same tokenizer."""

    _contexts: dict[str, array[int]] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], Encoded] = field(default_factory=dict)
    _prompts: dict[tuple[str, int], tuple[Tokens, bool]] = field(default_factory=dict)

    def pair(self, context: str, continuation: str, encode: Encode) -> Encoded:
        """Both parts of a request, split as lm-eval splits them: blanks before the continuation belong to it.

        Args:
            context: not empty.
            continuation: what is scored.
            encode: text to token ids, special tokens as the model wants them.
        """
        key = (context, continuation)
        if key not in self._pairs:
            stripped = context.rstrip()
            # Encoded as one text: a token may reach over the seam.
            whole = encode(context + continuation)
            shared = self.text(stripped, encode)
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
