import time
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.resampling import FEWEST_CLUSTERS, percentile_interval, resampled_scores, two_sided_p
from glu_lib.errors import RecordError


def pairs_of(values, *, subtasks=None, weights=None, aggregation=Aggregation.RATIO, counts=None):
    """Values (models, items) with a second term: counts, or 1."""
    values = np.asarray(values, dtype=float)
    counts = np.ones_like(values) if counts is None else np.broadcast_to(counts, values.shape)
    subtasks = np.zeros(values.shape[1], dtype=int) if subtasks is None else np.asarray(subtasks)
    weights = np.bincount(subtasks).astype(float) if weights is None else np.asarray(weights, dtype=float)
    cases = tuple(f"m-p{10 * number}-t" for number in range(len(values)))
    return Pairs(cases, aggregation, np.stack([values, counts], axis=-1), subtasks, weights)


def binary(items, *shares, seed=0):
    return (np.random.default_rng(seed).random(items) < np.array(shares)[:, None]).astype(float)


@pytest.mark.parametrize("continuous", [False, True])
def test_means_and_standard_errors_are_those_of_theory(continuous):
    # both ways of drawing: counts of few distinct rows, indices of many
    values = np.random.default_rng(1).normal(size=(2, 400)) if continuous else binary(400, 0.7, 0.4)
    scores = resampled_scores(pairs_of(values))
    deltas, expected = scores[:, 1] - scores[:, 0], values[1] - values[0]
    error = expected.std() / 20
    # 10,000 resamples: the mean is good to 1 % of the standard error, the standard error to 0.7 %; four times that
    assert deltas.mean() == pytest.approx(expected.mean(), abs=0.04 * error)
    assert deltas.std() == pytest.approx(error, rel=0.03)


def test_models_are_resampled_together():
    values = np.random.default_rng(1).normal(size=300)
    scores = resampled_scores(pairs_of([values, values + 0.5]))
    assert np.allclose(scores[:, 1] - scores[:, 0], 0.5)


def test_the_seed_decides():
    pairs = pairs_of(binary(100, 0.5, 0.5))
    assert (resampled_scores(pairs, seed=3) == resampled_scores(pairs, seed=3)).all()
    assert (resampled_scores(pairs, seed=3) != resampled_scores(pairs, seed=4)).any()


def test_the_percentile_interval_is_scipys():
    rng = np.random.default_rng(2)
    logs, words = -rng.gamma(2, 30, size=150), rng.integers(20, 60, size=150)
    pairs = pairs_of([logs], counts=words, aggregation=Aggregation.PERPLEXITY)
    low, high = percentile_interval(resampled_scores(pairs)[:, 0])
    known = stats.bootstrap(
        (logs, words),
        lambda ll, n, axis: np.exp(-ll.sum(axis) / n.sum(axis)),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        method="percentile",
        rng=5,
    ).confidence_interval
    # the ends of two such bootstraps differ by about 3 % of the interval's length
    assert (low, high) == pytest.approx((known.low, known.high), abs=0.05 * (known.high - known.low))


def test_few_subtasks_are_strata_and_many_are_drawn_whole():
    # Sub-tasks that are all right or all wrong: within them nothing varies, between them everything.
    for subtasks, spread in ((FEWEST_CLUSTERS - 1, False), (FEWEST_CLUSTERS, True)):
        numbers = np.repeat(np.arange(subtasks), 10)
        values = (numbers % 2).astype(float)
        scores = resampled_scores(pairs_of([values, values], subtasks=numbers), resamples=2000)[:, 0]
        if spread:
            # of 20 clusters of one size: sqrt(p (1 - p) / 20); 2000 resamples, good to 1.6 %, four times that
            assert scores.std() == pytest.approx(np.sqrt(0.25 / subtasks), rel=0.064)
        else:
            assert np.ptp(scores) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("each", [2, 4])
def test_strata_of_few_items_have_the_variance_of_the_score(each):
    # An unbiased estimate: the mean over many samples of the bootstrap's variance is that of the score.
    rng, subtasks = np.random.default_rng(each), FEWEST_CLUSTERS - 1
    numbers = np.repeat(np.arange(subtasks), each)
    found = [
        resampled_scores(pairs_of([rng.normal(size=len(numbers))], subtasks=numbers), resamples=400, seed=run).var()
        for run in range(200)
    ]
    # A variance estimated from n values with n − k degrees of freedom scatters by sqrt(2 / (n − k)); four times that
    freedom = len(found) * (len(numbers) - subtasks)
    assert np.mean(found) * len(numbers) == pytest.approx(1, rel=4 * np.sqrt(2 / freedom) + 0.01)


def test_one_item_in_a_stratum_stays_as_it_is():
    numbers = np.array([0] + [1] * 30)
    scores = resampled_scores(pairs_of([np.where(numbers, 0.0, 1.0)], subtasks=numbers), resamples=100)
    assert np.allclose(scores, 1 / 31)


def test_unweighted_groups_keep_their_weights():
    numbers = np.array([0] * 30 + [1] * 90)
    values = np.where(numbers == 0, 1.0, binary(120, 0.4)[0])
    scores = resampled_scores(pairs_of([values], subtasks=numbers, weights=[1, 1]), resamples=2000)[:, 0]
    assert scores.mean() == pytest.approx((1 + values[30:].mean()) / 2, abs=0.003)  # 4 standard errors of 2000


def test_coverage_of_the_interval_of_a_difference_of_perplexities():
    rng = np.random.default_rng(7)
    # expectation of ll: 60 and 66 nats of 40 words
    truth = np.exp(66 / 40) - np.exp(60 / 40)
    hits, runs = 0, 300
    for run in range(runs):
        base = rng.gamma(4, 15, size=200)
        level = base + rng.gamma(2, 3, size=200)
        pairs = pairs_of([-base, -level], counts=40.0, aggregation=Aggregation.PERPLEXITY)
        scores = resampled_scores(pairs, resamples=500, seed=run)
        low, high = percentile_interval(scores[:, 1] - scores[:, 0])
        hits += low <= truth <= high
    # 95 % of 300 have a standard deviation of 1.3 %; percentile intervals of 200 items are short by about 1 %
    assert 0.90 <= hits / runs <= 0.985


def test_the_p_value_counts_the_smaller_side_and_the_observation():
    values = np.array([-1.0, *[1.0] * 98])
    assert two_sided_p(values) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(-values) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.ones(9999)) == pytest.approx(0.0002)
    assert two_sided_p(np.zeros(99)) == 1.0


def test_too_few_items_are_refused():
    with pytest.raises(
        RecordError, match="m-p10-t: 19 items; a bootstrap needs 20: raise --limit, or the task's limit in the study$"
    ):
        resampled_scores(pairs_of(np.ones((2, 19))))


def test_scores_that_are_none_are_refused():
    values = np.full((2, 40), -1e308)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(RecordError, match="m-p10-t: a resample has no score; compare the scores alone"),
    ):
        resampled_scores(pairs_of(values))


def test_fourteen_thousand_items_take_seconds_and_little_memory():
    pairs = pairs_of(np.random.default_rng(0).normal(size=(2, 14_000)))
    tracemalloc.start()
    start = time.perf_counter()
    resampled_scores(pairs)
    duration_s, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6
    assert duration_s < 20  # about 2 s on an idle core
