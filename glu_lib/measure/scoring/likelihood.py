"""Log-likelihoods of continuations: distinct prefixes are computed once, the LM head only at scored positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.encoding import Encoded
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.packing import Group, Tokens, Tree, distinct_tokens, pack_rows, plan
from glu_lib.measure.scoring.pieces import row_pieces
from glu_lib.measure.scoring.reading_off import Scored, ScoredAnswer, read_off, read_off_pieces

_PLAN_TOKENS = 512  # trees up to this number of tokens get no separate cache for their common prefix
# A batch of at least 256 tokens ends before a row that padding would fill by more than a quarter.
_BATCH_TOKENS = 256
_FILLED = 0.75

PackedRow = list[Tree]
NOTHING_KNOWN: Mapping[int, ScoredAnswer] = MappingProxyType({})


class LikelihoodPlan:
    """Plan of the forward passes for some requests: their distinct inputs, grouped by common prefix."""

    def __init__(self, requests: Sequence[Encoded], max_length: int) -> None:
        self._targets = [request.continuation for request in requests]
        self._wanted: defaultdict[Tokens, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            self._wanted[request.inputs(max_length)].append(index)
        self._scored = {
            tokens: max(len(self._targets[index]) for index in indices) for tokens, indices in self._wanted.items()
        }

    def distinct_tokens(self) -> int:
        """The least number of tokens that must be forwarded."""
        return distinct_tokens(self._scored)

    def planned_tokens(self) -> int:
        """Number of tokens that the plan forwards, without padding."""
        groups = plan(self._scored, _PLAN_TOKENS)
        return sum(len(group.prefix) + sum(len(tree.tokens) for tree in group.trees) for group in groups)

    def score(
        self,
        forward: SharedForward,
        budget: Budget,
        softmax_dtype: torch.dtype,
        known: Mapping[int, ScoredAnswer] = NOTHING_KNOWN,
        observe: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Iterator[dict[int, ScoredAnswer]]:
        """Yield for each batch, by request index, (log-probability, whether greedy decoding gives the continuation).

        A batch is skipped only if all its scores are known; otherwise the whole batch is computed. A resumed run thus
        uses the same batches as an uninterrupted one, and its scores are equal to the last digit.

        Args:
            forward: forward pass of the model.
            budget: size of a batch; shrinks when memory runs out.
            softmax_dtype: dtype in which log-probabilities are computed.
            known: scores of an earlier run by request index.
            observe: called between the pieces of a long row with its tokens that are done, and with all of them.

        Raises:
            RuntimeError: if memory runs out with a single request.
        """
        for group in plan(self._scored, _PLAN_TOKENS):
            if (scores := self._look_up(known, [group.trees], group.prefix)) is not None:
                yield scores
                continue
            cache = budget.once(partial(forward.prefix_cache, group.prefix))

            def work(batch: Sequence[PackedRow], group: Group = group, cache: Any = cache) -> dict[int, ScoredAnswer]:
                if (scores := self._look_up(known, batch, group.prefix)) is not None:
                    return scores
                width = max(map(_width, batch))
                scored = list(self._places(batch, group.prefix, width))
                if forward.divides(batch[0]):
                    pieces = _observed(row_pieces(forward, batch[0][0], cache), width, observe)
                    return read_off_pieces(forward, pieces, scored, softmax_dtype)
                hidden = forward.hidden_states(batch, len(group.prefix), cache)  # (rows, width, hidden)
                return read_off(forward, hidden, scored, softmax_dtype)

            for packed in _packings(group, forward.row_tokens):
                yield from budget.run(packed, partial(_that_fit, forward, budget), work, _halves)

    def _look_up(
        self, known: Mapping[int, ScoredAnswer], batch: Sequence[PackedRow], prefix: Tokens
    ) -> dict[int, ScoredAnswer] | None:
        """The scores of a batch's requests if all of them are known, else None."""
        if not known:
            return None
        suffixes = (suffix for row in batch for tree in row for suffix in tree.paths)
        indices = [index for suffix in suffixes for index in self._wanted[prefix + suffix]]
        return {index: known[index] for index in indices} if all(index in known for index in indices) else None

    def _places(self, batch: Sequence[PackedRow], prefix: Tokens, width: int) -> Iterator[Scored]:
        """The scored positions of each request in a batch: the last ones of its path in a tree."""
        for row, trees in enumerate(batch):
            offset = row * width
            for tree in trees:
                for suffix, path in tree.paths.items():
                    for index in self._wanted[prefix + suffix]:
                        targets = self._targets[index]
                        nodes = path[len(path) - len(targets) :]
                        yield Scored(index, [offset + node for node in nodes], targets)
                offset += len(tree.tokens)


def _packings(group: Group, row_tokens: int) -> Iterator[list[PackedRow]]:
    """Rows of a group, the widest first. Without a prefix, chains get their own batches, which need no tree mask."""
    if group.prefix:
        yield pack_rows(group.trees, row_tokens)
        return
    yield [[tree] for tree in sorted(group.trees, key=lambda tree: -len(tree.tokens)) if tree.is_chain]
    yield pack_rows([tree for tree in group.trees if not tree.is_chain], row_tokens)


def _width(row: PackedRow) -> int:
    return sum(len(tree.tokens) for tree in row)


def _observed(
    pieces: Iterable[torch.Tensor], width: int, observe: Callable[[int, int], None]
) -> Iterator[torch.Tensor]:
    """The same pieces of a row of `width` tokens; `observe` hears of each one that is done."""
    done = 0
    for states in pieces:
        yield states
        done += states.shape[1]
        observe(done, width)


def _that_fit(forward: SharedForward, budget: Budget, left: Sequence[PackedRow]) -> int:
    """Number of rows for the next batch. All rows are padded to the first, the widest; much shorter rows come later.

    A row that is computed in pieces forms a batch of its own.
    """
    if forward.divides(left[0]):
        return 1
    width = _width(left[0])
    most = max(1, budget.tokens // width)
    enough = -(-_BATCH_TOKENS // width)
    for count, row in enumerate(left[enough:most], start=enough):
        if _width(row) < _FILLED * width:
            return count
    return most


def _halves(row: PackedRow) -> list[PackedRow]:
    middle = len(row) // 2
    return [row[:middle], row[middle:]] if middle else [row]
