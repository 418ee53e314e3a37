"""Greedy decoding in which the next prompt takes the seat of an answer that ends (continuous batching)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from glu_lib.errors import NotFiniteError
from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.machine.memory import release_memory
from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.drafts import Lookup, most_drafted
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.packing import Tokens
from glu_lib.measure.scoring.pieces import MOST_TOKENS, new_cache, prefill
from glu_lib.measure.scoring.seat_cache import SeatCache
from glu_lib.measure.scoring.seats import Seat
from glu_lib.measure.scoring.shared_attention import Beginning
from glu_lib.measure.scoring.steps import feed, read_off

_ROOM = 128  # tokens allocated ahead for each seat
_FREE_SHARE = 8  # newcomers wait until one seat in so many is free, so that several are computed together
_STEP_TOKENS = 768  # of a step with drafts


class ContinuousDecoder:
    """Decodes prompts that begin alike. Each round seats newcomers, or makes a token or more in every seat."""

    def __init__(
        self,
        forward: SharedForward,
        beginning: Beginning | None,
        budget: Budget,
        *,
        max_new_tokens: int,
        has_stopped: Callable[[Sequence[int]], bool],
        observe: Callable[[Mapping[Tokens, Sequence[int]]], None] = lambda _made: None,
        longest_draft: int | None = None,
    ) -> None:
        """Nothing is computed yet.

        Args:
            forward: forward pass of the model, with the suite's attention in use.
            beginning: what all prompts begin with; None for nothing.
            budget: seats, and tokens of cache; smaller after memory ran out.
            max_new_tokens: most new tokens of an answer.
            has_stopped: whether an answer with these new tokens is finished.
            observe: called after every round with the new tokens of all seated prompts.
            longest_draft: most tokens of a draft; None for what suits the device.
        """
        self._forward, self._beginning, self._budget = forward, beginning, budget
        self._past = 0 if beginning is None else beginning.tokens
        self._max_new_tokens, self._has_stopped, self._observe = max_new_tokens, has_stopped, observe
        self._longest_draft = most_drafted(forward.model.device) if longest_draft is None else longest_draft
        self._waiting: deque[Seat] = deque()
        self._seated: list[Seat] = []
        self._cache: SeatCache = new_cache(forward.model, 0, 0)
        self._tried = 0  # rows of the newest round

    def answers(self, prompts: Iterable[tuple[Tokens, Sequence[int]]]) -> Iterator[dict[Tokens, list[int]]]:
        """Yield answers as they end: the new tokens by prompt, with the token that stopped them.

        Args:
            prompts: prompts in the order of their turn, each with the tokens of an interrupted run, which do not end
                the answer.

        Raises:
            NotFiniteError: if the logits of a row are not finite.
            RuntimeError: if memory runs out with a single prompt.
        """
        self._waiting.extend(Seat(prompt, list(begun)) for prompt, begun in prompts)
        while self._waiting or self._seated:
            try:
                chosen = self._round()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self._tried <= 1:
                    self._budget.sequences = 1
                    raise
                chosen = None
            if (
                chosen is None
            ):  # not inside the handler, where the exception still holds the tensors of the forward pass
                self._start_again()
            elif ended := self._take(chosen):
                yield ended

    @torch.inference_mode()
    def _round(self) -> list[list[int]]:
        """Seat newcomers or compute one step in each seat; the new tokens of each of the last seats."""
        newcomers = self._newcomers()
        self._tried = len(self._seated) + len(newcomers)
        self._make_room(newcomers)
        if newcomers:
            return read_off(self._forward, self._seat(newcomers), [[] for _ in newcomers])
        drafts = [self._draft(seat) for seat in self._seated]
        try:
            return self._step(drafts)
        except NotFiniteError:
            if not any(drafts):
                raise
        # A text that was only guessed may have no finite states.
        self._cache.forget_behind([seat.cached for seat in self._seated])
        return self._step([[] for _ in drafts])

    def _step(self, drafts: Sequence[Sequence[int]]) -> list[list[int]]:
        hidden = feed(self._forward, self._cache, self._seated, drafts, self._beginning)
        return read_off(self._forward, hidden, drafts)

    def _draft(self, seat: Seat) -> list[int]:
        """A guess at the next tokens of a row that fits into its answer, its place in the cache and the step."""
        if seat.lookup is None:
            return []
        of_step = _STEP_TOKENS // len(self._seated) - 1
        of_answer, of_cache = self._max_new_tokens - len(seat.made) - 1, self._cache.capacity - seat.cached - 1
        return seat.lookup.draft(min(self._longest_draft, of_step, of_answer, of_cache))

    @torch.inference_mode()
    def _take(self, found: Sequence[Sequence[int]]) -> dict[Tokens, list[int]]:
        """Append the new tokens of the last seats; the answers that ended leave."""
        ended = []
        for seat, tokens in zip(self._seated[len(self._seated) - len(found) :], found, strict=True):
            for token in tokens:
                seat.made.append(token)
                if self._is_ended(seat):
                    ended.append(seat)
                    break
            seat.take_note(tokens)
            seat.cached = self._length(seat) - 1
        self._observe({seat.prompt: seat.made for seat in self._seated})
        return self._leave(ended)

    def _is_ended(self, seat: Seat) -> bool:
        return len(seat.made) >= self._max_new_tokens or self._has_stopped(seat.made)

    def _newcomers(self) -> list[Seat]:
        """The next prompts to seat: as many as seats, tokens of cache and the size of a piece allow; often none."""
        found: list[Seat] = []
        width = 0
        longest = max((self._expected(seat) for seat in self._seated), default=0)
        seats = min(self._seats_for(max(longest, 1)), len(self._seated) + len(self._waiting))
        if self._seated and (seats - len(self._seated)) * _FREE_SHARE < seats:
            return []
        for seat in self._waiting:
            width, longest = max(width, self._length(seat)), max(longest, self._expected(seat))
            count = len(found) + 1
            if len(self._seated) + count > self._seats_for(longest) or (found and count * width > MOST_TOKENS):
                break
            found.append(seat)
        return found

    def _expected(self, seat: Seat) -> int:
        """Own tokens that a row will need, if its answer becomes half as long as it may."""
        return self._length(seat) + max(1, (self._max_new_tokens - len(seat.made)) // 2)

    def _length(self, seat: Seat) -> int:
        """Own tokens of a prompt with its answer so far."""
        return len(seat.prompt) - self._past + len(seat.made)

    def _make_room(self, newcomers: Sequence[Seat]) -> None:
        """Let the cache grow for the next forward pass; if the budget has no tokens left, the last rows leave."""
        longest = max([seat.cached + 1 for seat in self._seated] + [self._length(seat) for seat in newcomers])
        capacity = self._capacity(longest)
        while not newcomers and len(self._seated) > self._budget.seats_in_memory(capacity):
            seat = self._seated.pop()
            seat.cached = 0
            self._waiting.appendleft(seat)
        rows = len(self._seated) + len(newcomers)
        if rows > self._cache.seats or capacity != self._cache.capacity:
            wanted = min(self._budget.seats(capacity), len(self._seated) + len(self._waiting))
            self._cache.resize(max(rows, wanted), capacity)

    def _capacity(self, longest: int) -> int:
        """Tokens of each seat if the longest row has `longest`: as now, unless they do not fit or waste half of it."""
        now = self._cache.capacity
        return now if longest <= now <= 2 * (longest + _ROOM) else longest + _ROOM

    def _seats_for(self, longest: int) -> int:
        """Seats to fill if the longest row will need about `longest` tokens: all seats are as large as that one."""
        return min(self._budget.seats(longest), self._budget.seats_in_memory(self._capacity(longest)))

    def _seat(self, newcomers: Sequence[Seat]) -> torch.Tensor:
        """Compute the prompts of newcomers; the hidden states (newcomers, hidden) of their last tokens."""
        suffixes = [[*seat.prompt[self._past :], *seat.made] for seat in newcomers]
        hidden = prefill(self._forward, suffixes, self._cache, start=len(self._seated), beginning=self._beginning)
        for seat, suffix in zip(newcomers, suffixes, strict=True):
            self._waiting.popleft()
            seat.cached, seat.drafted = len(suffix), 0
            seat.lookup = Lookup([*seat.prompt, *seat.made]) if self._longest_draft else None
            self._seated.append(seat)
        return hidden

    def _leave(self, ended: Sequence[Seat]) -> dict[Tokens, list[int]]:
        """Take answers out of the batch; the last row moves to the free seat."""
        for seat in ended:
            place, last = next(at for at, other in enumerate(self._seated) if other is seat), self._seated.pop()
            if last is not seat:
                self._cache.move(len(self._seated), place)
                self._seated[place] = last
        return {seat.prompt: seat.made for seat in ended}

    def _start_again(self) -> None:
        """After memory ran out: everyone waits again with the tokens made so far, for half the seats."""
        self._budget.shrink(self._tried)
        for seat in self._seated:
            seat.cached = 0
        self._waiting.extendleft(reversed(self._seated))
        self._seated, self._cache = [], new_cache(self._forward.model, 0, 0)
        release_memory()
