"""lm-eval's slow functions, made fast while the suite uses them; what they return stays the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from glu_lib.evaluation.bootstrap import (
    are_binary_pairs,
    f1_scores,
    label_stderr,
    matthews_correlations,
    perplexity_stderr,
)

_TEMPLATES = 1024  # compiled templates kept


@contextmanager
def lm_eval_shortcuts() -> Iterator[None]:
    """Within the block lm-eval compiles each template once, not once per document, and bootstraps by arrays."""
    from lm_eval import utils
    from lm_eval.api import metrics

    compile_template, bootstrap = utils.env.from_string, metrics.bootstrap_stderr

    def stderr(metric: Callable[[Sequence[Any]], float], items: Sequence[Any], iters: int) -> float:
        if metric is metrics.perplexity:
            return perplexity_stderr(np.asarray(items, dtype=float), iters)
        statistic = {metrics.f1_score: f1_scores, metrics.matthews_corrcoef: matthews_correlations}.get(metric)
        if statistic is None or not are_binary_pairs(items):
            return float(bootstrap(metric, items, iters))
        return label_stderr(statistic, np.asarray(items).astype(int), iters)

    metrics.bootstrap_stderr = stderr
    utils.env.from_string = lru_cache(_TEMPLATES)(compile_template)
    try:
        yield
    finally:
        metrics.bootstrap_stderr = bootstrap
        utils.env.from_string = compile_template
