"""The suite's scorer compared with lm-eval's `HFLM`: tokens, time and peak memory; runs only with `-m scoring`."""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from glu_lib.machine.memory import peak_memory
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.measure.scoring.made_up_requests import SHAPES, Shape, benchmark_model, needed_tokens
from glu_lib.nano import MODEL_DIR
from glu_lib.run.experiment import Experiment
from glu_lib.study.settings import Scorer

pytestmark = [pytest.mark.speed, pytest.mark.scoring]

Network = tuple[Any, Any, list[str]]  # model, tokenizer, words


@pytest.fixture(scope="module")
def network(experiment: Experiment) -> Network:
    """A model with random weights, its tokenizer, and the words of its vocabulary."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    words = [word for word in tokenizer.get_vocab() if not word.startswith("<")]
    model: Any = benchmark_model(tokenizer)
    model.to(experiment.environment.device)
    experiment.preparation.loader.threads.apply(model, experiment.environment)
    return model, tokenizer, words


@pytest.mark.parametrize("scorer", Scorer)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_scoring(
    benchmark: BenchmarkFixture, experiment: Experiment, network: Network, shape: Shape, scorer: Scorer
) -> None:
    """Score texts, tokenization included; the fast scorer forwards at most 1.25 times the tokens needed."""
    model, tokenizer, words = network
    requests = shape.requests(words)
    forwarded: list[int] = []

    def fresh() -> tuple[tuple[Any], dict[str, Any]]:
        lm = wrap_model(model, tokenizer, batch_size=experiment.settings.batch_size, scorer=scorer)
        # Warm up outside the timing: the first call tests the model, which a sweep does once per level.
        getattr(lm, shape.method)(requests[:1], disable_tqdm=True)
        return (lm,), {}

    def score(lm: Any) -> object:
        return getattr(lm, shape.method)(requests, disable_tqdm=True)

    (counting,), _ = fresh()
    if scorer is Scorer.FAST:
        counting.reset_counts()
    hook = model.get_input_embeddings().register_forward_hook(
        lambda _m, inputs, _o: forwarded.append(inputs[0].numel())
    )
    with peak_memory(experiment.environment.device) as memory:
        score(counting)
    hook.remove()
    benchmark.group = shape.name
    benchmark.extra_info["forwarded_tokens"] = sum(forwarded)
    benchmark.extra_info["peak_bytes"] = memory.peak_bytes
    if scorer is Scorer.FAST:
        needed = needed_tokens(counting, shape, requests)
        benchmark.extra_info["needed_tokens"] = needed
        assert sum(forwarded) < 1.25 * needed
    benchmark.pedantic(score, setup=fresh, rounds=3, warmup_rounds=0)
