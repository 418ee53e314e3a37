"""Read scores and generated tokens from a case's journal, and write those of this run to it. Needs no torch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glu_lib.measure.scoring.encoding import Encoded
from glu_lib.measure.scoring.packing import Tokens
from glu_lib.results.unfinished import PROGRESS_S, Answers, request_key

Score = tuple[float, bool]
_MINUS_INFINITY = "-inf"  # JSON has no number for it


def as_score(answer: Any) -> Score | None:
    """A journal entry as a score; None if it is not a valid score, since the file is not trusted."""
    if not isinstance(answer, list | tuple) or len(answer) != 2 or type(answer[1]) is not bool:
        return None
    logprob, is_greedy = answer
    if type(logprob) is str and logprob == _MINUS_INFINITY:
        return -math.inf, is_greedy
    return (logprob, is_greedy) if type(logprob) is float and math.isfinite(logprob) else None


def kept_score(score: Score) -> tuple[float | str, bool]:
    """A score as JSON values, with -inf as text."""
    return (score[0] if math.isfinite(score[0]) else _MINUS_INFINITY, score[1])


def as_tokens(answer: Any) -> list[int] | None:
    """A journal entry as token ids; None if it is not a list of token ids."""
    is_tokens = isinstance(answer, list) and all(type(token) is int for token in answer)
    return list(answer) if is_tokens else None


@dataclass(slots=True)
class KeptScores:
    """Journal of log-likelihoods. `known` holds the scores of earlier runs by request index.

    Without `answers` nothing is read or written.
    """

    answers: Answers | None
    keys: Sequence[str] = ()
    known: dict[int, Score] = field(default_factory=dict)

    @classmethod
    def of(cls, requests: Sequence[Encoded], answers: Answers | None) -> KeptScores:
        """Look up `requests` in the journal `answers`."""
        if answers is None:
            return cls(None)
        keys = [request_key(request.context, request.continuation) for request in requests]
        found = {index: score for index, key in enumerate(keys) if (score := as_score(answers.get(key))) is not None}
        return cls(answers, keys, found)

    def add(self, scores: Mapping[int, Score], reduced_batch_size: int | None) -> None:
        """Write the scores of a batch to the journal, unless all of them are in it already."""
        if self.answers is not None and not scores.keys() <= self.known.keys():
            found = {self.keys[index]: kept_score(score) for index, score in scores.items()}
            self.answers.put(found, batch_size=reduced_batch_size)


@dataclass(slots=True)
class KeptTokens:
    """Journal of generated tokens by prompt, for one token limit and one set of stop strings."""

    answers: Answers
    limit: int
    stops: Sequence[str]
    _keys: dict[Tokens, str] = field(default_factory=dict)
    _kept_s: float = field(default_factory=time.monotonic)

    def finished(self, prompt: Tokens) -> list[int] | None:
        """The new tokens of a finished answer; None if the answer is not finished."""
        return as_tokens(self.answers.get(self._key(prompt)))

    def begun(self, prompt: Tokens) -> list[int]:
        """The new tokens of an interrupted answer; usually empty."""
        return list(self.answers.begun(self._key(prompt)))

    def grow(self, made: Mapping[Tokens, Sequence[int]]) -> None:
        """Write the unfinished answers of a batch to the journal, at most every PROGRESS_S seconds."""
        if time.monotonic() - self._kept_s >= PROGRESS_S:
            self.answers.put_begun({self._key(prompt): tokens for prompt, tokens in made.items()})
            self._kept_s = time.monotonic()

    def add(self, made: Mapping[Tokens, Sequence[int]], reduced_batch_size: int | None) -> None:
        """Write the finished answers of a batch to the journal, unless all of them are in it already."""
        if any(self.finished(prompt) is None for prompt in made):
            found = {self._key(prompt): list(tokens) for prompt, tokens in made.items()}
            self.answers.put(found, batch_size=reduced_batch_size)

    def _key(self, prompt: Tokens) -> str:
        if prompt not in self._keys:
            self._keys[prompt] = request_key(prompt, str(self.limit), *self.stops)
        return self._keys[prompt]
