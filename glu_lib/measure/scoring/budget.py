"""The size of a batch; if memory runs out, the budget shrinks and the batch is retried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.models.loading import release_memory

_TOKENS_PER_SEQUENCE = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Budget:
    """Sequences per generation batch, and tokens of its cache. A log-likelihood batch may hold 64 tokens per sequence.

    `cache_tokens` is what fits into memory, known beforehand; None for no limit.
    """

    sequences: int
    cache_tokens: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens per log-likelihood batch."""
        return self.sequences * _TOKENS_PER_SEQUENCE

    def seats(self, capacity: int) -> int:
        """Rows of a generation batch whose cache has room for `capacity` tokens per row; at least 1."""
        most = self.sequences if self.cache_tokens is None else self.cache_tokens // capacity
        return max(1, min(self.sequences, most))

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
