"""Replace functions of lm-eval by faster ones without overflow; their other results stay the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from glu_lib.measure.accuracy.bootstrap import are_binary_pairs, label_stderr, perplexity_stderr
from glu_lib.results.collapse import exp
from glu_lib.study.label_metrics import f1_scores, matthews_correlations

_TEMPLATES = 1024  # compiled templates in the cache
# The function of lm-eval's TruthfulQA mc2, in all languages. It computes Σ exp(true) / Σ exp(all), which stays the same
# if a number is added to all log-likelihoods.
_SHARES_OF_PROBABILITY = "process_results_mc2"
_SMALLEST_LOG = -600.0  # e^-745 is 0 in a float, and terms down to e^-37 of the largest matter


class _MathWithoutOverflow:
    """Python's `math`, except that `exp` returns infinity instead of raising OverflowError."""

    exp = staticmethod(exp)

    def __getattr__(self, name: str) -> Any:
        return getattr(math, name)


@contextmanager
def lm_eval_shortcuts() -> Iterator[None]:
    """Within the block, lm-eval compiles each template once instead of once per document, and bootstraps with arrays.

    Perplexities that overflow become infinite: lm-eval's `metrics` module looks up `math.exp` at each call. The
    probability shares of mc2 are defined even if all answers of a question are less likely than e^-745, where lm-eval
    would compute 0 / 0.
    """
    from lm_eval import utils
    from lm_eval.api import metrics
    from lm_eval.api.task import ConfigurableTask

    compile_template, bootstrap = utils.env.from_string, metrics.bootstrap_stderr
    process_results = ConfigurableTask.process_results

    def process(task: Any, doc: dict[str, Any], results: list[Any]) -> Any:
        is_share = getattr(task.config.process_results, "__name__", "") == _SHARES_OF_PROBABILITY
        return process_results(task, doc, without_underflow(results) if is_share else results)

    def stderr(metric: Callable[[Sequence[Any]], float], items: Sequence[Any], iters: int) -> float:
        if metric is metrics.perplexity:
            return perplexity_stderr(np.asarray(items, dtype=float), iters)
        statistic = {metrics.f1_score: f1_scores, metrics.matthews_corrcoef: matthews_correlations}.get(metric)
        if statistic is None or not are_binary_pairs(items):
            return float(bootstrap(metric, items, iters))
        return label_stderr(statistic, np.asarray(items).astype(int), iters)

    metrics.bootstrap_stderr = stderr
    metrics.math = _MathWithoutOverflow()
    ConfigurableTask.process_results = process
    utils.env.from_string = lru_cache(_TEMPLATES)(compile_template)
    try:
        yield
    finally:
        metrics.bootstrap_stderr = bootstrap
        metrics.math = math
        ConfigurableTask.process_results = process_results
        utils.env.from_string = compile_template


def without_underflow(results: Sequence[tuple[float, bool]]) -> Sequence[tuple[float, bool]]:
    """Shift the log-likelihoods of a question's answers by the largest one if all are too small for `exp`.

    Args:
        results: (log-likelihood, is greedy) of each answer.
    """
    largest = max(likelihood for likelihood, _ in results)
    if not -math.inf < largest < _SMALLEST_LOG:
        return results
    return [(likelihood - largest, is_greedy) for likelihood, is_greedy in results]
