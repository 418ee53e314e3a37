import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from glu_lib.measure.accuracy.bootstrap import label_stderr, perplexity_stderr
from glu_lib.measure.accuracy.shortcuts import lm_eval_shortcuts
from glu_lib.study.label_metrics import f1_scores, matthews_correlations

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(PAIRS)
def test_the_statistics_are_scikit_learns(pairs):
    gold, predicted = zip(*pairs, strict=True)
    counts = np.bincount([2 * a + b for a, b in pairs], minlength=4)[None].astype(float)
    assert f1_scores(counts)[0] == pytest.approx(f1_score(gold, predicted, zero_division=0))
    assert matthews_correlations(counts)[0] == pytest.approx(matthews_corrcoef(gold, predicted))


def test_the_standard_errors_are_lm_evals_within_the_noise_of_the_replicates(monkeypatch):
    from lm_eval.api import metrics

    monkeypatch.setenv("DISABLE_MULTIPROC", "1")
    rng = np.random.default_rng(7)
    logprobs = rng.normal(-3, 2, 200)
    pairs = [(int(gold), int(gold if keep else 1 - gold)) for gold, keep in rng.random((200, 2)) > 0.4]
    for metric, items in (
        (metrics.perplexity, list(logprobs)),
        (metrics.f1_score, pairs),
        (metrics.matthews_corrcoef, pairs),
    ):
        own = metrics.stderr_for_metric(metric, 1000)(items)
        with lm_eval_shortcuts():
            fast = metrics.stderr_for_metric(metric, 1000)(items)
        # Relative noise of each: 1 / sqrt(2 · 1000) = 2.2 %; of their difference 3.2 %.
        assert fast == pytest.approx(own, rel=0.13)
        assert fast != own


def test_the_noise_goes_down_with_the_replicates():
    logprobs = np.random.default_rng(3).normal(-3, 1, 500)
    expected = np.exp(-logprobs.mean()) * logprobs.std() / np.sqrt(500)  # delta method
    assert perplexity_stderr(logprobs, 20_000) == pytest.approx(expected, rel=0.03)
    pairs = np.array([(1, 1)] * 300 + [(0, 0)] * 200)
    assert label_stderr(matthews_correlations, pairs, 1000) == 0.0


def test_labels_that_are_not_binary_are_left_to_lm_eval(monkeypatch):
    from lm_eval.api import metrics

    monkeypatch.setenv("DISABLE_MULTIPROC", "1")
    pairs = [(0, 1), (1, 1), (2, 2), (2, 0), (0, 0)] * 4
    own = metrics.stderr_for_metric(metrics.matthews_corrcoef, 50)(pairs)
    with lm_eval_shortcuts():
        assert metrics.stderr_for_metric(metrics.matthews_corrcoef, 50)(pairs) == own


def test_templates_are_compiled_once_within_the_block_only():
    from lm_eval import utils

    own = utils.env.from_string
    with lm_eval_shortcuts():
        assert utils.env.from_string("{{x}}") is utils.env.from_string("{{x}}")
        assert utils.apply_template("{{x + 1}}", {"x": 1}) == "2"
        assert utils.apply_template("{{x + 1}}", {"x": 2}) == "3"
    assert utils.env.from_string == own


def test_labels_may_be_floats(monkeypatch):
    from lm_eval.api import metrics

    with lm_eval_shortcuts():
        stderr = metrics.stderr_for_metric(metrics.f1_score, 200)
        assert stderr([(1.0, 0), (1.0, 1.0), (0, 0), (1, 1)] * 20) > 0
