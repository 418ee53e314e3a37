"""What controls are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.study import Metric


@dataclass(frozen=True, slots=True)
class Scored:
    """The scored items of one lm-eval task.

    `samples` are lm-eval's, those of the headline metric's filter. `tokens` gives the token ids of a text, without
    special tokens; `size` is the number of rows of the LM head.
    """

    task: Any
    metric: Metric
    samples: Sequence[dict[str, Any]]
    tokens: Callable[[str], list[int]]
    size: int

    def value(self, doc: Any, results: list[Any]) -> Any:
        """The headline metric that lm-eval gives one item for these results."""
        return self.task.process_results(doc, results)[self.metric.name]
