"""Both scorers on the same requests: the suite's `SharedPrefixLM` and lm-eval's `HFLM`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, TypeVar

from glu_lib.machine.device_errors import is_out_of_memory
from glu_lib.machine.memory import peak_memory, release_memory
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.scoring.made_up_requests import Shape
from gpu_parts.bench import Network
from gpu_parts.timing import Rounds, call_seconds

BATCH_SIZE = 32
Result = TypeVar("Result")


class Who(StrEnum):
    """A scorer."""

    OURS = "ours"
    HFLM = "hflm"


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scorer said, its times, peak memory in bytes (None if it cannot be read), and the batch size that fitted.

    `lm` is the scorer of the last round.
    """

    values: list[Any]
    times: Rounds
    peak_bytes: int | None
    batch_size: int
    lm: Any


def make_scorer(who: Who, network: Network, batch_size: int = BATCH_SIZE, encodings: Encodings | None = None) -> Any:
    """The scorer as an lm-eval model around the network, on its device.

    Args:
        who: which scorer.
        network: the model and its tokenizer.
        batch_size: sequences per batch.
        encodings: token ids of texts that an earlier scorer has encoded; only the suite's own scorer keeps them.
    """
    from lm_eval.models.huggingface import HFLM

    if who is Who.OURS:
        return wrap_model(network.model, network.tokenizer, batch_size=batch_size, encodings=encodings)
    return HFLM(pretrained=network.model, tokenizer=network.tokenizer, batch_size=batch_size)


def ask(lm: Any, shape: Shape, requests: Sequence[Any]) -> list[Any]:
    """All answers to requests of a shape."""
    found: list[Any] = getattr(lm, shape.method)(list(requests), disable_tqdm=True)
    return found


def score(who: Who, network: Network, shape: Shape, requests: Sequence[Any], count: int) -> Scored:
    """Score requests in `count` rounds, each with a scorer of its own; tokenization is a part of the work.

    The suite's scorer keeps token ids from its first round on, as a sweep does from level to level; `HFLM` has no such
    cache. One request warms each scorer up, outside the time: the first call tests the model, which a sweep does once.
    If a batch does not fit into memory, the batch size is halved.
    """
    device = network.model.device

    def at(batch_size: int) -> Scored:
        seconds: list[float] = []
        values: list[Any] = []
        lm: Any = None
        encodings = Encodings()

        def work() -> None:
            nonlocal values
            values = ask(lm, shape, requests)

        with peak_memory(str(device)) as memory:
            for _ in range(count):
                lm = make_scorer(who, network, batch_size, encodings)
                ask(lm, shape, requests[:1])
                if who is Who.OURS:
                    lm.reset_counts()
                seconds.append(call_seconds(device, work))
        return Scored(values, Rounds(tuple(seconds)), memory.peak_bytes, batch_size, lm)

    return fitting(at)


def fitting(work: Callable[[int], Result]) -> Result:
    """The result of `work` at the largest batch size that fits into memory, from BATCH_SIZE down by halves.

    Raises:
        RuntimeError: if batch size 1 does not fit.
    """
    batch_size = BATCH_SIZE
    while True:
        try:
            return work(batch_size)
        except Exception as error:
            if not is_out_of_memory(error) or batch_size == 1:
                raise
        # Not inside the handler: there the exception still holds the tensors of the forward pass.
        batch_size //= 2
        release_memory()


def requests_of(shape: Shape, words: Sequence[str], seed: int, new_tokens: int | None = None) -> list[Any]:
    """Requests of a shape; generated answers get exactly `new_tokens` tokens, since random models never end."""
    found = shape.requests(words, seed)
    if new_tokens is None:
        return found
    return [
        SimpleNamespace(args=(context, {**options, "max_gen_toks": new_tokens}))
        for context, options in (request.args for request in found)
    ]


def scaled(shape: Shape, times: float) -> Shape:
    """The shape with `times` as many documents, at least one."""
    return replace(shape, documents=max(1, int(shape.documents * times)))


def largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest relative difference of log-likelihoods, |a − b| / max(|b|, 1)."""
    pairs = [(_logprob(one), _logprob(other)) for one, other in zip(ours, theirs, strict=True)]
    return max(abs(one - other) / max(abs(other), 1.0) for one, other in pairs)


def equal_count(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """How many texts, or greedy flags of log-likelihoods, are equal."""
    pairs = zip(ours, theirs, strict=True)
    return sum((one[1] == other[1]) if isinstance(one, tuple) else one == other for one, other in pairs)


def _logprob(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)
