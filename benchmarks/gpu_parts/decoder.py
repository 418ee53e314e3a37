"""Decoding: seconds per step of both scorers, as a share of the least time at the measured rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.memory import peak_memory
from glu_lib.measure.scoring.made_up_requests import Shape
from glu_lib.measure.scoring.packing import distinct_tokens
from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType
from gpu_parts.bench import Bench, Network
from gpu_parts.floors import step_floor
from gpu_parts.plan import Unit
from gpu_parts.scorers import Who, ask, equal_count, fitting, make_scorer, requests_of, scaled
from gpu_parts.timing import call_seconds

_ROWS = 32  # one batch
_TINY_ROWS = 4
_SHORT_LONG = (8, 136)  # new tokens per answer; the difference of both times is that of the steps between
_TINY_SHORT_LONG = (4, 36)


@dataclass(frozen=True, slots=True)
class Decoding:
    """A batch of prompts, answered with few and with many tokens, in several rounds."""

    shape: Shape
    short: int
    long: int
    rounds: int = 3

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return self.shape.families * self.shape.documents

    def requests(self, words: Sequence[str], number: int, new_tokens: int) -> list[Any]:
        """The requests of a round: of its own for each length, since engines keep the beginnings that they know."""
        return requests_of(self.shape, words, 2 * number + (new_tokens == self.long), new_tokens)

    def time(self, answer: Callable[[Sequence[Any]], object], words: Sequence[str]) -> tuple[float, float]:
        """The fastest round with few and with many new tokens, in seconds.

        Args:
            answer: answers requests, and returns the seconds that it took.
            words: the words of the prompts.
        """
        seconds: dict[int, list[Any]] = {self.short: [], self.long: []}
        for number in range(self.rounds):
            for new_tokens, found in seconds.items():
                found.append(answer(self.requests(words, number, new_tokens)))
        return min(seconds[self.short]), min(seconds[self.long])

    def figures(
        self,
        times_s: tuple[float, float],
        model: Architecture,
        cached: int,
        rates: Mapping[str, Any] | None,
        dtype: DType,
    ) -> dict[str, Any]:
        """Seconds per step, of the prompts, tokens per second, and the share of the floor.

        The step is (long − short) / (their difference in tokens); what is left of the short round is the prompts'.

        Args:
            times_s: seconds with few and with many new tokens.
            model: the model's shape.
            cached: distinct tokens of all prompts.
            rates: the machine's rates.
            dtype: of weights and cache.

        Raises:
            MeasurementError: if many tokens took no longer than few, so that there is no step to tell.
        """
        short_s, long_s = times_s
        if long_s <= short_s:
            raise MeasurementError(
                f"{self.long} new tokens took {long_s:.3f} s, {self.short} took {short_s:.3f} s: the machine is too "
                "busy to tell a step"
            )
        step_s = (long_s - short_s) / (self.long - self.short)
        floor = step_floor(model, self.rows, cached + self.rows * (self.short + self.long) / 2, dtype)
        floor_s = floor.seconds(rates, dtype)
        return {
            "short_s": short_s,
            "long_s": long_s,
            "step_s": step_s,
            "prompts_s": short_s - self.short * step_s,
            "tokens_per_s": self.rows * self.long / long_s,
            "floor_s": floor_s,
            "floor_share": None if floor_s is None else floor_s / step_s,
        }


def decoding(bench: Bench, shape: Shape) -> Decoding:
    """The decoding of a shape: one batch of 32 rows, of four in a trial."""
    rows, lengths = (_TINY_ROWS, _TINY_SHORT_LONG) if bench.setup.is_tiny else (_ROWS, _SHORT_LONG)
    return Decoding(scaled(shape, rows / shape.documents), *lengths)


def measure_decoder(bench: Bench, unit: Unit) -> dict[str, Any]:
    """Seconds per step of both scorers on the same prompts, and how many texts are equal."""
    assert unit.model is not None
    assert unit.shape is not None
    network, work = bench.network(unit.model), decoding(bench, unit.shape)
    found = {str(who): fitting(partial(_decode, bench, network, work, who)) for who in Who}
    texts = {who: figures.pop("texts") for who, figures in found.items()}
    ours, theirs = texts[Who.OURS], texts[Who.HFLM]
    return {
        "dtype": str(network.dtype),
        "shape": {"name": work.shape.name, "rows": work.rows, "new_tokens": work.long},
        "prompt_tokens": prompt_tokens(network, work),
        **found,
        "times_faster": found[Who.HFLM]["long_s"] / found[Who.OURS]["long_s"],
        "equal_texts": equal_count(ours, theirs),
        "texts": len(ours),
    }


def prompt_tokens(network: Network, work: Decoding) -> int:
    """Distinct tokens of the prompts of a round, a shared beginning counted once."""
    requests = work.requests(network.words, 0, work.long)
    return distinct_tokens({tuple(network.tokenizer(request.args[0])["input_ids"]) for request in requests})


def _decode(bench: Bench, network: Network, work: Decoding, who: Who, batch_size: int) -> dict[str, Any]:
    lm = make_scorer(who, network, batch_size)
    ask(lm, work.shape, work.requests(network.words, work.rounds, work.short))  # warm-up, with prompts of its own
    texts: list[str] = []

    def answer(requests: Sequence[Any]) -> float:
        def call() -> None:
            nonlocal texts
            texts = ask(lm, work.shape, requests)

        return call_seconds(bench.device, call)

    with peak_memory(bench.setup.device) as memory:
        times_s = work.time(answer, network.words)
    figures = work.figures(times_s, network.shape, prompt_tokens(network, work), bench.rates, network.dtype)
    return {**figures, "peak_bytes": memory.peak_bytes, "batch_size": batch_size, "texts": texts}
