"""How much goes into one batch; when memory runs out the budget shrinks and the work goes on."""

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
    """Sequences of a generation batch; a batch of log-likelihoods gets 64 tokens for each of them."""

    sequences: int

    @property
    def tokens(self) -> int:
        """Tokens of a log-likelihood batch."""
        return self.sequences * _TOKENS_PER_SEQUENCE

    def once(self, work: Callable[[], Result]) -> Result:
        """Do one piece of work; out of memory, give back what can be given back and try once more.

        Raises:
            RuntimeError: out of memory, if it does not fit then either; the budget is 1 then.
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
        """Work through `items` batch by batch; only a batch that did not fit into memory is done again, smaller.

        Args:
            items: what is to be done, in order.
            take: how many of the items that are left make the next batch, by this budget.
            work: does a batch.
            split: makes several smaller items of one, if it can.

        Raises:
            RuntimeError: out of memory, if an item that cannot be split does not fit; the budget is 1 then.
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
            # Outside the handler: there the exception still holds the tensors of the forward pass.
            release_memory()
            if count == 1:
                left = [*split(left[0]), *left[1:]]
            most = max(1, count // 2)
            self.sequences = max(1, self.sequences // 2)
