"""lm-eval's `HFLM`, counting what did not fit and keeping what was answered: for runs that are killed in the middle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lm_eval.models.huggingface import HFLM

from glu_lib.answers import Answers, request_key

if TYPE_CHECKING:
    import torch


class CountingHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no type information
    """Scores exactly as `HFLM`; `truncated_prompts` and `cut_generations` count requests since the last reset.

    With `answers`, requests that were answered in an earlier run are not asked again, and each batch is kept.
    """

    truncated_prompts: int = 0
    cut_generations: int = 0
    answers: Answers | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `HFLM`."""
        super().__init__(*args, **options)
        # Of the rows of a generation batch, in order: was the prompt cut, was the answer.
        self._cut_prompts: deque[bool] = deque()
        self._cut_answers: deque[bool] = deque()

    def reset_counts(self) -> None:
        """Start counting anew, for the next task."""
        self.truncated_prompts = self.cut_generations = 0

    def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Count requests (strings, context tokens, continuation tokens) of more than max_length + 1 tokens."""
        self._count_truncated(requests)
        if (answers := self.answers) is None:
            return super()._loglikelihood_tokens(requests, *args, **options)
        keys = [request_key(context, continuation) for _, context, continuation in requests]
        asked = [(key, *tokens) for key, (_, *tokens) in zip(keys, requests, strict=True) if answers.get(key) is None]
        with self._kept(lambda key, answer: answers.put({key: answer})):
            super()._loglikelihood_tokens(asked, *args, **options)
        return [tuple(answers.get(key) or ()) for key in keys]

    def _count_truncated(self, requests: list[Any]) -> None:
        room = self.max_length + 1
        self.truncated_prompts += sum(len(context) + len(continuation) > room for _, context, continuation in requests)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Answers as `HFLM` gives them; sampled ones are not kept: they depend on what was drawn before."""
        self._cut_prompts.clear()
        self._cut_answers.clear()
        if (answers := self.answers) is None or any(is_sampled(request.args[1]) for request in requests):
            texts: list[str] = super().generate_until(requests, disable_tqdm)
            return texts

        def keep(request: tuple[str, Any], text: str) -> None:
            answers.put({_text_key(*request): [text, self._cut_prompts.popleft(), self._cut_answers.popleft()]})

        keys = [_text_key(*request.args) for request in requests]
        known = [answers.get(key) for key in keys]
        asked = [request for request, answer in zip(requests, known, strict=True) if answer is None]
        for _, prompt_was_cut, answer_was_cut in filter(None, known):
            self.truncated_prompts += prompt_was_cut
            self.cut_generations += answer_was_cut
        with self._kept(keep):
            super().generate_until(asked, disable_tqdm)
        return [(answers.get(key) or ("",))[0] for key in keys]

    @contextmanager
    def _kept(self, keep: Callable[..., None]) -> Iterator[None]:
        """Hand each answer to `keep` as `HFLM` hands it to lm-eval's own cache, which has no part in it here."""
        before: Any = self.cache_hook
        self.cache_hook: Any = _Hook(keep)
        try:
            yield
        finally:
            self.cache_hook = before

    def tok_batch_encode(
        self, strings: Any, padding_side: str = "left", left_truncate_len: int | None = None, truncation: bool = False
    ) -> Any:
        """Encode prompts for generation; those longer than `left_truncate_len` tokens lose their beginning."""
        encoded = super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        if left_truncate_len:
            is_full = encoded[0].shape[1] == left_truncate_len
            cut = [is_full and len(self.tok_encode(text)) > left_truncate_len for text in strings]
            self.truncated_prompts += sum(cut)
            self._cut_prompts.extend(cut)
        return encoded

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        """Generate (batch, length) tokens; a row that fills the limit without a stop was cut by it."""
        output: torch.Tensor = super()._model_generate(context, max_length, stop, **options)
        generated = output[:, context.shape[1] :]  # (batch, new tokens)
        is_full = output.shape[1] >= max_length
        cut = [is_full and not self._has_stopped(row, stop) for row in generated.tolist()]
        self.cut_generations += sum(cut)
        self._cut_answers.extend(cut)
        return output

    def _has_stopped(self, tokens: list[int], stop: list[str]) -> bool:
        if self.eot_token_id in tokens:
            return True
        text = self.tok_decode(tokens, skip_special_tokens=False)
        return any(string in text for string in stop if string)


def is_sampled(options: Mapping[str, Any]) -> bool:
    """Whether a generation request asks for chance."""
    return bool(options.get("do_sample") or options.get("temperature"))


def _text_key(context: str, options: Mapping[str, Any]) -> str:
    return request_key(context, repr(sorted(options.items(), key=str)))


class _Hook:
    """Stands where lm-eval hangs its own cache: called with each answer as it is there."""

    def __init__(self, keep: Callable[..., None]) -> None:
        self._keep = keep

    def add_partial(self, _attribute: str, request: Any, answer: Any) -> None:
        self._keep(request, answer)
