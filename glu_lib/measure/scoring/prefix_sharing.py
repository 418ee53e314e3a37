"""An `HFLM` that knows whether its model allows shared prefixes, and how much of them fits into memory.

Every decoder does that accepts a four-dimensional attention mask, explicit positions and a cache. A self-check on
random tokens tests this once per model. If the check fails, lm-eval's own `HFLM` scores the model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.choosing import choose_attention
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.kept_hflm import KeepingHFLM
from glu_lib.study.settings import Attention, AttentionChoice

_LOGGER = logging.getLogger(__name__)
_AUTO_SEQUENCES = 64


class PrefixSharingHFLM(KeepingHFLM):
    """An `HFLM` with a forward pass that shares prefixes. Arguments as in `HFLM`, and `encodings`."""

    def __init__(self, *args: Any, encodings: Encodings | None = None, **options: Any) -> None:
        """As `HFLM`; `encodings` is a cache of token ids of the same tokenizer, filled by earlier levels."""
        super().__init__(*args, encodings=encodings, **options)
        self._encodings = encodings or Encodings()
        self._forward = SharedForward(self.model)
        self._can_share: bool | None = None
        self._choice: AttentionChoice | None = None
        self.distinct_tokens = 0

    @property
    def forwarded_tokens(self) -> int:
        """Number of tokens in all forward passes since the last reset, including padding."""
        return self._forward.forwarded_tokens

    @property
    def attention(self) -> Attention:
        """The attention in use: the suite's own, or the model's where the suite's does not fit."""
        return self._forward.attention

    @property
    def attention_choice(self) -> AttentionChoice | None:
        """Why it is this one; None while no request has been scored, and for models that are left to `HFLM`."""
        return self._choice

    def reset_counts(self) -> None:
        """Set all counts to 0, for the next task."""
        super().reset_counts()
        self._forward.forwarded_tokens = self.distinct_tokens = 0

    @contextmanager
    def _budget(self) -> Iterator[Budget]:
        """The batch size as a budget, 64 for `auto`. Afterwards the batch size is what fitted into memory."""
        sequences = self.batch_size if isinstance(self.batch_size, int) else _AUTO_SEQUENCES
        budget = Budget(sequences, self._forward.cache_tokens())
        if self.answers and self.answers.batch_size:  # the size that fitted in the interrupted run
            budget.sequences = min(budget.sequences, self.answers.batch_size)
        try:
            yield budget
        finally:
            self.batch_size_per_gpu = budget.sequences

    def _reduced(self, budget: Budget) -> int | None:
        """The batch size if lack of memory reduced it, else None."""
        asked = self.batch_size if isinstance(self.batch_size, int) else _AUTO_SEQUENCES
        return budget.sequences if budget.sequences < asked else None

    def _shares_prefixes(self) -> bool:
        """Whether this model gives the same logits on packed trees as on plain sequences; checked once."""
        if self._can_share is None:
            self._can_share = self._check()
            if not self._can_share:
                _LOGGER.warning(
                    "%s is scored by lm-eval's HFLM, because its attention or logits do not allow shared prefixes",
                    type(self.model).__name__,
                )
        return self._can_share

    def _check(self) -> bool:
        # HFLM divides the work of several processes and sets mixed precision in its own calls, which are not used here.
        if self.backend != "causal" or self.world_size > 1 or self.mixed_precision_dtype is not None:
            return False
        if not self._forward.matches_plain_forward(self.vocab_size, self.max_length):
            return False
        self._choice = choose_attention(self._forward, self.vocab_size, self.max_length)
        return True
