"""lm-eval's `HFLM` that counts truncated prompts and cut generations, and refuses pairs that it would split wrongly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from glu_lib.measure.scoring.added_tokens import without_end
from glu_lib.measure.scoring.checked_hflm import CheckedHFLM
from glu_lib.measure.scoring.encoding import Encodings, check_sizes

if TYPE_CHECKING:
    import torch


class CountingHFLM(CheckedHFLM):
    """Scores exactly as `HFLM`, except where `HFLM` would score tokens that are not the answer's.

    There, tokens that the tokenizer appends to a text are removed, and a pair that cannot be split is refused.

    `truncated_prompts` and `cut_generations` count requests since the last reset. `unknown_requests` counts
    log-likelihood requests that contain the tokenizer's UNK token. `cut_prompts` and `cut_answers` say for each row of
    the last generation batches, in order, whether its prompt or its answer was cut.
    """

    tokenizer: Any
    truncated_prompts: int = 0
    cut_generations: int = 0
    unknown_requests: int = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `HFLM`."""
        super().__init__(*args, **options)
        self.tokenizer = without_end(self.tokenizer)
        self.cut_prompts: deque[bool] = deque()
        self.cut_answers: deque[bool] = deque()

    def reset_counts(self) -> None:
        """Set all counts to 0, for the next task."""
        self.truncated_prompts = self.cut_generations = self.unknown_requests = 0

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Tokens of context and continuation.

        Raises:
            MeasurementError: if one token covers the end of the context and the start of the continuation.
        """
        found = Encodings().pair(context, continuation, self.tok_encode)
        return found.context.tolist(), list(found.continuation)

    def score_tokens(self, requests: list[Any], *args: Any, **options: Any) -> Any:
        """Check, count and score requests (strings, context tokens, continuation tokens)."""
        for _, context, continuation in requests:
            check_sizes(context, continuation, self.max_length)
        self._count_requests([(context, continuation) for _, context, continuation in requests])
        return super().score_tokens(requests, *args, **options)

    def _count_requests(self, requests: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
        """Count requests (context tokens, continuation tokens) that are too long or contain UNK."""
        room, unknown = self.max_length + 1, self._unknown_token()
        for context, continuation in requests:
            self.truncated_prompts += len(context) + len(continuation) > room
            self.unknown_requests += unknown in continuation or unknown in context

    def _unknown_token(self) -> int | None:
        """The id of UNK; None if there is no UNK, or if BOS or EOS is the same token."""
        unknown: int | None = self.tokenizer.unk_token_id
        return None if unknown in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) else unknown

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The same answers as from `HFLM`."""
        self.cut_prompts.clear()
        self.cut_answers.clear()
        texts: list[str] = super().generate_until(requests, disable_tqdm)
        return texts

    def tok_batch_encode(
        self, strings: Any, padding_side: str = "left", left_truncate_len: int | None = None, truncation: bool = False
    ) -> Any:
        """Encode prompts for generation. Prompts longer than `left_truncate_len` tokens lose their beginning."""
        encoded = super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        if left_truncate_len:
            is_full = encoded[0].shape[1] == left_truncate_len
            cut = [is_full and len(self.tok_encode(text)) > left_truncate_len for text in strings]
            self.truncated_prompts += sum(cut)
            self.cut_prompts.extend(cut)
        return encoded

    def generate_batch(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        """Generate tokens (batch, length). A row that reaches the limit without a stop counts as a cut answer."""
        output: torch.Tensor = super().generate_batch(context, max_length, stop, **options)
        generated = output[:, context.shape[1] :]  # (batch, new tokens)
        is_full = output.shape[1] >= max_length
        cut = [is_full and not self._has_stopped(row, stop) for row in generated.tolist()]
        self.cut_generations += sum(cut)
        self.cut_answers.extend(cut)
        return output

    def _has_stopped(self, tokens: list[int], stop: list[str]) -> bool:
        if self.eot_token_id in tokens:
            return True
        text = self.tok_decode(tokens, skip_special_tokens=False)
        return any(string in text for string in stop if string)
