import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.significance import Comparison, compare_samples, holm, mcnemar_p, paired_share_interval


def shares(base, level, *, subtasks=None):
    """Pairs of right and wrong answers."""
    values = np.array([base, level], dtype=float)
    subtasks = np.zeros(values.shape[1], dtype=int) if subtasks is None else np.asarray(subtasks)
    terms = np.stack([values, np.ones_like(values)], axis=-1)
    return Pairs(("m-p0-t", "m-p40-t"), Aggregation.RATIO, terms, subtasks, np.bincount(subtasks).astype(float))


def changed(gained, lost, both=10, neither=10):
    base = [0] * gained + [1] * lost + [1] * both + [0] * neither
    level = [1] * gained + [0] * lost + [1] * both + [0] * neither
    return shares(base, level)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 1), (3, 9), (9, 3), (5, 5), (0, 200), (40, 61)])
def test_mcnemar_is_statsmodels(gained, lost):
    known = mcnemar([[10, lost], [gained, 10]], exact=True).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(known, rel=1e-9)


def test_mcnemar_by_hand():
    # 2 (1 + 5) / 2^5: four lost, one gained
    assert mcnemar_p(1, 4) == pytest.approx(12 / 32)
    assert mcnemar_p(0, 6) == pytest.approx(2 / 64)


def test_mcnemar_keeps_its_size():
    # Nothing changes: 30 of 100 items flip with even odds. Exact: never above 5 %, whatever the number of flips.
    rng = np.random.default_rng(0)
    flips = rng.binomial(100, 0.3, size=2000)
    gained = rng.binomial(flips, 0.5)
    rejected = np.mean([mcnemar_p(int(a), int(n - a)) < 0.05 for a, n in zip(gained, flips, strict=True)])
    assert 0.015 <= rejected <= 0.05 + 2 * 0.005  # 2000 draws have a standard deviation of 0.5 %


def test_the_interval_by_hand():
    # n = 98, gained 4, lost 14: a = 5/100, b = 15/100, d = -0.1, margin 1.96 sqrt(0.19 / 100)
    assert paired_share_interval(4, 14, 98) == pytest.approx((-0.1 - 0.085432, -0.1 + 0.085432), abs=1e-6)


def test_the_interval_stays_within_minus_one_and_one():
    assert paired_share_interval(0, 5, 5)[0] == -1
    assert paired_share_interval(5, 0, 5)[1] == 1


@pytest.mark.parametrize(("gain", "loss"), [(0.02, 0.06), (0.10, 0.30), (0.0, 0.04)])
def test_the_interval_covers_in_small_samples(gain, loss):
    rng = np.random.default_rng(1)
    size, runs, hits = 30, 3000, 0
    for gained, lost, _ in rng.multinomial(size, (gain, loss, 1 - gain - loss), size=runs):
        low, high = paired_share_interval(int(gained), int(lost), size)
        hits += low <= gain - loss <= high
    assert hits / runs >= 0.94  # 3000 runs have a standard deviation of 0.4 %


def test_a_share_is_compared_by_mcnemar():
    found = compare_samples(changed(4, 14, 40, 40))
    assert found == Comparison(
        pytest.approx(-10 / 98), *paired_share_interval(4, 14, 98), mcnemar_p(4, 14), "exact McNemar", 98
    )


def test_equal_answers_have_no_change():
    found = compare_samples(changed(0, 0))
    assert (found.delta, found.p) == (0, 1)
    assert found.delta_low < 0 < found.delta_high


def continuous(delta, items=200, seed=3):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=items)
    values = np.stack([base, base + rng.normal(delta, 0.5, size=items)])
    terms = np.stack([values, np.ones_like(values)], axis=-1)
    return Pairs(("m-p0-t", "m-p40-t"), Aggregation.RATIO, terms, np.zeros(items, dtype=int), np.array([1.0 * items]))


def test_other_metrics_are_compared_by_the_paired_bootstrap():
    pairs = continuous(0.05)
    found = compare_samples(pairs)
    differences = pairs.terms[1, :, 0] - pairs.terms[0, :, 0]
    known = stats.ttest_1samp(differences, 0)
    assert (found.test, found.pairs) == ("paired bootstrap", 200)
    assert found.delta == pytest.approx(differences.mean())
    # 200 items, a mean: the bootstrap comes near Student's p and interval
    assert found.p == pytest.approx(known.pvalue, abs=0.015)
    interval = known.confidence_interval()
    assert (found.delta_low, found.delta_high) == pytest.approx((interval.low, interval.high), abs=0.004)


@pytest.mark.parametrize("delta", [-0.2, -0.08, -0.05, 0.0, 0.05, 0.08, 0.2])
def test_interval_and_p_of_the_bootstrap_agree(delta):
    found = compare_samples(continuous(delta))
    assert (found.p < 0.05) == (not found.delta_low <= 0 <= found.delta_high)


def test_the_paired_bootstrap_keeps_its_size():
    rejected = [compare_samples(continuous(0.0, seed=seed), resamples=400).p < 0.05 for seed in range(300)]
    assert 0.02 <= np.mean(rejected) <= 0.09  # standard deviation of 300 draws: 1.3 %


def subjects(effect, seed=0, count=40, size=50):
    """Groups of answers whose subjects differ in how much they lose."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(count), size)
    change = rng.normal(effect, 0.1, size=count)[numbers]
    return shares(rng.random(count * size) < 0.6, rng.random(count * size) < 0.6 + change, subtasks=numbers)


def test_many_subtasks_are_compared_by_the_cluster_bootstrap():
    found = compare_samples(subjects(-0.1))
    assert (found.test, found.pairs) == ("cluster bootstrap", 2000)
    assert found.p < 0.05
    pairs = subjects(-0.1)
    per_subject = (pairs.terms[1, :, 0] - pairs.terms[0, :, 0]).reshape(40, 50).mean(axis=1)
    error = per_subject.std() / np.sqrt(40)
    assert found.delta == pytest.approx(per_subject.mean())
    assert found.delta_high - found.delta_low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_cluster_bootstrap_covers_where_items_alone_do_not():
    def covered(pairs):
        found = compare_samples(pairs, resamples=400)
        return found.delta_low <= -0.1 <= found.delta_high

    runs = [subjects(-0.1, seed) for seed in range(200)]
    clustered = np.mean([covered(pairs) for pairs in runs])
    alone = np.mean([covered(shares(*pairs.terms[..., 0])) for pairs in runs])
    assert clustered >= 0.90  # 40 clusters: nominal 95 %, a percentile interval is about 1 % short; 200 runs: 1.5 %
    assert alone < clustered


def test_few_subtasks_are_compared_within_each():
    found = compare_samples(shares([1, 0] * 30, [0, 0] * 30, subtasks=[0, 1, 2] * 20))
    assert (found.test, found.delta) == ("paired bootstrap", -0.5)


def test_holm_by_hand_and_with_gaps():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []
    p_values = list(itertools.islice(iter(np.random.default_rng(0).random(20)), 20))
    assert holm(p_values) == list(multipletests(p_values, method="holm")[1])
