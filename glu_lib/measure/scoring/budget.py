"""The size of a batch; if memory runs out, the budget shrinks and the batch is retried."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.machine.memory import release_memory

_TOKENS_PER_SEQUENCE = 64
_CACHE_PER_SEQUENCE, _SEATS_PER_SEQUENCE = 1024, 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Budget:
    """Sequences per batch of the model's own forward pass. A log-likelihood batch may hold 64 tokens per sequence.

    Generation with seats counts tokens of cache: at most 1024 for each sequence, so that short prompts get up to four
    seats per sequence. `cache_tokens` is what fits into the memory that was free beforehand, `most_seats` what fitted
    when memory ran out; None for no limit.
    """

    sequences: int
    cache_tokens: int | None = None
    most_seats: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens per log-likelihood batch."""
        return self.sequences * _TOKENS_PER_SEQUENCE

    def seats(self, tokens: int) -> int:
        """Seats to fill if a row will need about `tokens` tokens of cache; at least 1."""
        wanted = min(_SEATS_PER_SEQUENCE * self.sequences, _CACHE_PER_SEQUENCE * self.sequences // tokens)
        return min(max(self.sequences, wanted), self.seats_in_memory(tokens))

    def seats_in_memory(self, tokens: int) -> int:
        """Seats that fit into memory if each has room for `tokens` tokens; at least 1."""
        limits = [] if self.most_seats is None else [self.most_seats]
        if self.cache_tokens is not None:
            limits.append(max(1, self.cache_tokens // tokens))
        return min(limits, default=sys.maxsize)

    def shrink(self, tried: int) -> None:
        """After memory ran out with `tried` rows: half of them from now on."""
        self.most_seats = max(1, tried // 2)
        self.sequences = min(self.sequences, self.most_seats)

    def once(self, work: Callable[[], Result]) -> Result:
        """Do one piece of work; if memory runs out, halve the budget, release memory and retry once.

        Raises:
            RuntimeError: if the retry runs out of memory too; the budget is then 1.
        """
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.sequences = max(1, self.sequences // 2)
        release_memory()
        try:
            return work()
        except Exception as error:
            if is_out_of_memory(error):
                self.sequences = 1
            raise

    def run(
        self,
        items: Sequence[Item],
        take: Callable[[Sequence[Item]], int],
        work: Callable[[Sequence[Item]], Result],
        split: Callable[[Item], Sequence[Item]] = lambda item: [item],
    ) -> Iterator[Result]:
        """Process `items` batch by batch. A batch that does not fit into memory is retried in smaller batches.

        Args:
            items: the items, in the order of processing.
            take: number of the remaining items that form the next batch within this budget.
            work: processes a batch.
            split: divides an item into smaller ones; returns one item if it cannot be divided.

        Raises:
            RuntimeError: if an item that cannot be divided does not fit into memory; the budget is then 1.
        """
        left, most = list(items), len(items)
        while left:
            count = max(1, min(take(left), most, len(left)))
            try:
                result = work(left[:count])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if count == 1 and len(split(left[0])) == 1:
                    self.sequences = 1
                    raise
            else:
                left = left[count:]
                yield result
                continue
            # Not inside the handler, because there the exception still holds the tensors of the forward pass.
            release_memory()
            if count == 1:
                left = [*split(left[0]), *left[1:]]
            most = max(1, count // 2)
            self.sequences = max(1, self.sequences // 2)
