"""The type of a training text: words that are either context or answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One training text.

    Args:
        context: the words before the answer, separated by single blanks.
        answer: the words that carry the full loss weight; empty for running text.
        tail: words after the answer, with the weight of context.
    """

    context: str
    answer: str = ""
    tail: str = ""

    @property
    def text(self) -> str:
        """The whole text, words separated by single blanks."""
        return " ".join(part for part in (self.context, self.answer, self.tail) if part)
