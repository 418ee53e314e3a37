"""lm-eval's `HFLM`, counting what did not fit: prompts cut on the left, generations cut by the token limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lm_eval.models.huggingface import HFLM

if TYPE_CHECKING:
    import torch


class CountingHFLM(HFLM):  # type: ignore[misc]  # lm-eval ships no type information
    """Scores exactly as `HFLM`; `truncated_prompts` and `cut_generations` count requests since the last reset."""

    truncated_prompts: int = 0
    cut_generations: int = 0

    def reset_counts(self) -> None:
        """Start counting anew, for the next task."""
        self.truncated_prompts = self.cut_generations = 0

    def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Count requests (strings, context tokens, continuation tokens) of more than max_length + 1 tokens."""
        self._count_truncated(requests)
        return super()._loglikelihood_tokens(requests, *args, **options)

    def _count_truncated(self, requests: list[Any]) -> None:
        room = self.max_length + 1
        self.truncated_prompts += sum(len(context) + len(continuation) > room for _, context, continuation in requests)

    def tok_batch_encode(
        self, strings: Any, padding_side: str = "left", left_truncate_len: int | None = None, truncation: bool = False
    ) -> Any:
        """Encode prompts for generation; those longer than `left_truncate_len` tokens lose their beginning."""
        encoded = super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        if left_truncate_len and encoded[0].shape[1] == left_truncate_len:
            self.truncated_prompts += sum(len(self.tok_encode(text)) > left_truncate_len for text in strings)
        return encoded

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        """Generate (batch, length) tokens; a row that fills the limit without a stop was cut by it."""
        output: torch.Tensor = super()._model_generate(context, max_length, stop, **options)
        generated = output[:, context.shape[1] :]  # (batch, new tokens)
        if output.shape[1] >= max_length:
            self.cut_generations += sum(not self._has_stopped(row, stop) for row in generated.tolist())
        return output

    def _has_stopped(self, tokens: list[int], stop: list[str]) -> bool:
        if self.eot_token_id in tokens:
            return True
        text = self.tok_decode(tokens, skip_special_tokens=False)
        return any(string in text for string in stop if string)
