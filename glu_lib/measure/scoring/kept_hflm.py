"""lm-eval's `HFLM` with a journal: skips requests that earlier runs answered, and writes each finished batch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.scoring.finite import check_scores, checked_logits
from glu_lib.measure.scoring.kept import Score, as_score, kept_score
from glu_lib.measure.scoring.work_window import MeasuredHFLM
from glu_lib.results.unfinished import Answers, request_key
from glu_lib.study.settings import Attention, AttentionChoice


class KeepingHFLM(MeasuredHFLM):
    """Scores and counts as `CountingHFLM`. With a journal `answers`, only requests missing from it are computed."""

    answers: Answers | None = None

    def __init__(self, *args: Any, encodings: Encodings | None = None, **options: Any) -> None:
        """As `HFLM`; `encodings` is what earlier levels have computed with the same tokenizer."""
        super().__init__(*args, **options)
        self.encodings = encodings
        self._batch: dict[str, Score] = {}  # scores of the current batch, by request key

    @property
    def attention(self) -> Attention:
        """The attention in use."""
        return Attention.PLAIN

    @property
    def attention_choice(self) -> AttentionChoice | None:
        """Why it is this one; None, as `HFLM` has no choice."""
        return None

    def score_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Score requests (strings, context tokens, continuation tokens).

        Raises:
            NotFiniteError: if a log-probability is NaN or +inf.
        """
        if (answers := self.answers) is None:
            scores: list[Score] = super().score_tokens(requests, *args, **options)
            check_scores([logprob for logprob, _ in scores], self.model)
            return scores
        keys = [request_key(context, continuation) for _, context, continuation in requests]
        known = [as_score(answers.get(key)) is not None for key in keys]
        self._count_requests([tokens for (_, *tokens), is_known in zip(requests, known, strict=True) if is_known])
        asked = [
            (key, *tokens) for key, (_, *tokens), is_known in zip(keys, requests, known, strict=True) if not is_known
        ]
        self._batch = {}
        with self._kept(self._batch.__setitem__):
            super().score_tokens(asked, *args, **options)
            self._keep_batch()
        return [as_score(answers.get(key)) for key in keys]

    def whole_text(self, text: str) -> array[int]:
        """Token ids of a long text, with the special tokens that the tokenizer puts at the beginning of a text."""
        return (self.encodings or Encodings()).whole_text(text, partial(self.tok_encode, add_special_tokens=True))

    def loglikelihood_windows(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probabilities of windows in nats, each without its first token, which is only read.

        Args:
            requests: instances of (text, token ids).
            disable_tqdm: whether to hide the progress bar.
        """
        asked = [((text, ""), list(tokens[:1]), list(tokens[1:])) for text, tokens in (r.args for r in requests)]
        return [logprob for logprob, _ in self.score_tokens(asked, disable_tqdm)]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The same answers as from `HFLM`. Sampled answers are not journaled, as they depend on the random state."""
        if (answers := self.answers) is None or any(is_sampled(request.args[1]) for request in requests):
            return super().generate_until(requests, disable_tqdm)

        def keep(request: tuple[str, Any], text: str) -> None:
            answers.hold(_text_key(*request), [text, self.cut_prompts.popleft(), self.cut_answers.popleft()])

        keys = [_text_key(*request.args) for request in requests]
        known = [_as_text(answers.get(key)) for key in keys]
        asked = [request for request, answer in zip(requests, known, strict=True) if answer is None]
        for _, prompt_was_cut, answer_was_cut in filter(None, known):
            self.truncated_prompts += prompt_was_cut
            self.cut_generations += answer_was_cut
        with self._kept(keep):
            super().generate_until(asked, disable_tqdm)
        return [text for text, _, _ in filter(None, (_as_text(answers.get(key)) for key in keys))]

    def run_batch(self, *args: Any, **options: Any) -> Any:
        """Forward pass of a batch. By now the answers of earlier batches are complete, so they are journaled first."""
        self._keep_batch()
        self._flush_if_due()
        return super().run_batch(*args, **options)

    def generate_batch(self, *args: Any, **options: Any) -> Any:
        """Generate a batch. By now the answers of earlier batches are complete, so they are journaled first.

        Raises:
            NotFiniteError: if logits are not finite.
        """
        self._flush_if_due()
        with checked_logits(self.model):
            return super().generate_batch(*args, **options)

    def _keep_batch(self) -> None:
        """Add the scores of a complete batch to the journal, after checking that they are valid."""
        if self.answers is None or not self._batch:
            return
        check_scores([logprob for logprob, _ in self._batch.values()], self.model)
        for key, score in self._batch.items():
            self.answers.hold(key, kept_score(score))
        self._batch.clear()

    def _flush_if_due(self) -> None:
        if self.answers is not None:
            self.answers.flush_if_due()

    @contextmanager
    def _kept(self, keep: Callable[..., None]) -> Iterator[None]:
        """Within the block, pass each answer to `keep` instead of lm-eval's own cache."""
        before: Any = self.cache_hook
        self.cache_hook: Any = _Hook(keep)
        try:
            yield
        finally:
            self.cache_hook = before


def is_sampled(options: Mapping[str, Any]) -> bool:
    """Whether a generation request asks for sampling."""
    return bool(options.get("do_sample") or options.get("temperature"))


def _as_text(answer: Any) -> tuple[str, bool, bool] | None:
    """A journal entry as (text, prompt was cut, text was cut); None if it has another form."""
    if isinstance(answer, list) and list(map(type, answer)) == [str, bool, bool]:
        return answer[0], answer[1], answer[2]
    return None


def _text_key(context: str, options: Mapping[str, Any]) -> str:
    return request_key(context, repr(sorted(options.items(), key=str)))


class _Hook:
    """Replaces lm-eval's cache hook, which is called with each answer as soon as it is computed."""

    def __init__(self, keep: Callable[..., None]) -> None:
        self._keep = keep

    def add_partial(self, _attribute: str, request: Any, answer: Any) -> None:
        self._keep(request, answer)
