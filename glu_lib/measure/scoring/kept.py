"""Scores and generated tokens that earlier runs of a case left, and those of this run as they come; no torch here."""

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
    """A kept answer as a score; None if it is none: the file may come from anywhere."""
    if not isinstance(answer, list | tuple) or len(answer) != 2 or type(answer[1]) is not bool:
        return None
    logprob, is_greedy = answer
    if type(logprob) is str and logprob == _MINUS_INFINITY:
        return -math.inf, is_greedy
    return (logprob, is_greedy) if type(logprob) is float and math.isfinite(logprob) else None


def kept_score(score: Score) -> tuple[float | str, bool]:
    """A score as JSON can hold it."""
    return (score[0] if math.isfinite(score[0]) else _MINUS_INFINITY, score[1])


def as_tokens(answer: Any) -> list[int] | None:
    """A kept answer as token ids; None if it is none."""
    is_tokens = isinstance(answer, list) and all(type(token) is int for token in answer)
    return list(answer) if is_tokens else None


@dataclass(slots=True)
class KeptScores:
    """Log-likelihoods by the index of their request, `known` those of earlier runs; without `answers` none is kept."""

    answers: Answers | None
    keys: Sequence[str] = ()
    known: dict[int, Score] = field(default_factory=dict)

    @classmethod
    def of(cls, requests: Sequence[Encoded], answers: Answers | None) -> KeptScores:
        """What is known of some requests."""
        if answers is None:
            return cls(None)
        keys = [request_key(request.context, request.continuation) for request in requests]
        found = {index: score for index, key in enumerate(keys) if (score := as_score(answers.get(key))) is not None}
        return cls(answers, keys, found)

    def add(self, scores: Mapping[int, Score], reduced_batch_size: int | None) -> None:
        """Keep the scores of a batch; nothing happens where all of them are known."""
        if self.answers is not None and not scores.keys() <= self.known.keys():
            found = {self.keys[index]: kept_score(score) for index, score in scores.items()}
            self.answers.put(found, batch_size=reduced_batch_size)


@dataclass(slots=True)
class KeptTokens:
    """New tokens by their prompt, as `generate` asks for them; for one limit of tokens and one set of stop strings."""

    answers: Answers
    limit: int
    stops: Sequence[str]
    _keys: dict[Tokens, str] = field(default_factory=dict)
    _kept_s: float = field(default_factory=time.monotonic)

    def finished(self, prompt: Tokens) -> list[int] | None:
        """The new tokens of a prompt that is answered."""
        return as_tokens(self.answers.get(self._key(prompt)))

    def begun(self, prompt: Tokens) -> list[int]:
        """The new tokens that an interrupted answer has; usually none."""
        return list(self.answers.begun(self._key(prompt)))

    def grow(self, made: Mapping[Tokens, Sequence[int]]) -> None:
        """Keep what a batch has so far, every PROGRESS_S seconds."""
        if time.monotonic() - self._kept_s >= PROGRESS_S:
            self.answers.put_begun({self._key(prompt): tokens for prompt, tokens in made.items()})
            self._kept_s = time.monotonic()

    def add(self, made: Mapping[Tokens, Sequence[int]], reduced_batch_size: int | None) -> None:
        """Keep the finished answers of a batch; nothing happens where all of them are known."""
        if any(self.finished(prompt) is None for prompt in made):
            found = {self._key(prompt): list(tokens) for prompt, tokens in made.items()}
            self.answers.put(found, batch_size=reduced_batch_size)
        self._kept_s = time.monotonic()

    def _key(self, prompt: Tokens) -> str:
        if prompt not in self._keys:
            self._keys[prompt] = request_key(prompt, str(self.limit), *self.stops)
        return self._keys[prompt]
