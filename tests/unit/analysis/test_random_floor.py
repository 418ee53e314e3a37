"""Methods beside random selection: who is compared, the test's error rate, verdicts, and what stands on the page."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.items import Items
from glu_lib.analysis.random_floor import (
    AgainstRandom,
    Verdict,
    adjusted,
    against_random,
    verdict_over_tasks,
)
from glu_lib.report.random_floor import method_sentences, random_listing, verdict_listing


def row(method, value, percent=10, **changed):
    return {
        "model": "m",
        "method": method,
        "percent": percent,
        "divisor": None,
        "layers": None,
        "limit": None,
        "expansion_ratio": 2.4,
        "subject": "t",
        "metric": "acc",
        "filter": "none",
        "higher_is_better": True,
        "value": value,
        "record": f"{method}-{percent}-{changed.get('layers')}",
    } | changed


def items(record, values, aggregation=Aggregation.RATIO, keys=None):
    values = np.asarray(values, dtype=float)
    count = len(values)
    return Items(
        case=record,
        metric="acc",
        aggregation=aggregation,
        keys=tuple(("t", place, "none") for place in (range(count) if keys is None else keys)),
        hashes=("",) * count,
        terms=np.stack([values, np.ones(count)], axis=-1),
        subtasks=np.zeros(count, dtype=int),
        weights=np.array([float(count)]),
    )


def exp(nats):
    """The perplexity; None if it has collapsed."""
    return float(np.exp(nats)) if nats < 300 else None


def compared(method, draws, aggregation=Aggregation.RATIO, **changed):
    """The comparison of one method with several draws, each given by the values of its items."""
    is_log = aggregation is Aggregation.PERPLEXITY
    named = {"PPM": method} | {f"random{place}": draw for place, draw in enumerate(draws, start=1)}
    score = (lambda values: exp(-np.mean(values))) if is_log else (lambda values: float(np.mean(values)))
    metric = {"metric": "perplexity", "higher_is_better": False} if is_log else {}
    rows = [row(name, score(values), **(metric | changed)) for name, values in named.items()]
    known = {
        found["record"]: items(found["record"], values, aggregation)
        for found, values in zip(rows, named.values(), strict=True)
    }
    (found,) = against_random(rows, known, resamples=500, seed=0)
    return found


def test_the_difference_is_to_the_mean_of_the_draws():
    rng = np.random.default_rng(0)
    method, draws = rng.random(400) < 0.7, rng.random((3, 400)) < 0.5
    found = compared(method, draws)
    means = draws.mean(axis=1)
    assert found.random_mean == pytest.approx(means.mean())
    assert (found.random_low, found.random_high) == (means.min(), means.max())
    assert found.difference == pytest.approx(method.mean() - means.mean())
    assert found.low < found.difference < found.high
    assert found.seeds == 3
    assert replace(found, p_holm=found.p).verdict is Verdict.BETTER


def test_a_perplexity_is_compared_on_a_log_scale_and_lower_is_better():
    rng = np.random.default_rng(1)
    text = rng.normal(size=100)
    found = compared(text - 8, [text - 4, text - 4.1, text - 3.9], Aggregation.PERPLEXITY)
    assert found.difference == pytest.approx(4, abs=0.01)  # 8 − mean of 4, 4.1 and 3.9 nats
    assert found.random_mean == pytest.approx(np.exp(4 - text.mean()))  # geometric mean
    assert replace(found, p_holm=found.p).verdict is Verdict.WORSE


def test_draws_that_differ_much_leave_it_undecided():
    # The same mean difference; with draws all over the place three of them say little.
    rng = np.random.default_rng(2)
    text = rng.normal(size=100)
    close = compared(text - 5, [text - 4, text - 4.1, text - 3.9], Aggregation.PERPLEXITY)
    apart = compared(text - 5, [text - 1, text - 4, text - 7], Aggregation.PERPLEXITY)
    assert close.difference == pytest.approx(apart.difference, abs=1e-9)
    assert close.p < 0.05 < apart.p
    # Two degrees of freedom where the draws are all the variance: Student's margin by hand.
    error = np.std([1, 4, 7], ddof=1) / np.sqrt(3)
    assert apart.high - apart.difference == pytest.approx(stats.t.ppf(0.975, 2) * error, rel=0.02)


def test_a_method_that_is_one_more_random_draw_is_rarely_called_better_or_worse():
    # Random effects of the draw on the score, and items on top; the method is one more draw from the same urn.
    rng = np.random.default_rng(3)
    runs, wrong = 400, 0
    for _ in range(runs):
        shares = np.clip(rng.normal(0.5, 0.05, size=4), 0.05, 0.95)
        values = rng.random((4, 100)) < shares[:, None]
        wrong += compared(values[0], values[1:]).p < 0.05
    # The claim is about the method's own score, not about another draw of the same method, so a little more is allowed.
    assert wrong / runs <= 0.12


def test_the_test_keeps_its_size_if_draws_differ_only_by_items():
    rng = np.random.default_rng(4)
    runs, wrong = 400, 0
    for _ in range(runs):
        values = rng.random((4, 100)) < 0.5
        wrong += compared(values[0], values[1:]).p < 0.05
    assert wrong / runs <= 0.05 + 2 * 0.011


def test_equal_scores_of_every_item_are_no_difference():
    values = [1, 0] * 20
    found = compared(values, [values, values])
    assert (found.difference, found.p) == (0, 1)


def test_only_the_same_level_layers_and_divisor_are_compared():
    rows = [row("PPM", 0.5), row("random1", 0.4, percent=20), row("random1", 0.4, layers="1-29")]
    assert against_random(rows, {}, resamples=10, seed=0) == []


@pytest.mark.parametrize("count", [1, 2])
def test_one_draw_says_nothing_about_chance(count):
    found = compared([1, 0] * 20, [[1, 1] * 20, [0, 1] * 20][:count])
    assert (found.p is None) == (count == 1)
    assert ("one seed" in found.reason) == (count == 1)
    assert found.verdict is Verdict.UNDECIDED


def test_items_that_cannot_be_read_or_paired_are_a_reason():
    rows = [row("PPM", 0.5), row("random1", 0.5), row("random2", 0.5)]
    known = {found["record"]: items(found["record"], [1, 0] * 20) for found in rows}
    (found,) = against_random(rows, known | {rows[1]["record"]: "samples are missing"}, resamples=10, seed=0)
    assert (found.reason, found.p) == ("samples are missing", None)
    other = items("x", [1, 0] * 20, keys=range(1, 41))
    (found,) = against_random(rows, known | {rows[2]["record"]: other}, resamples=10, seed=0)
    assert "items are not in both" in found.reason


def test_draws_that_were_measured_otherwise_are_not_compared():
    rows = [row("PPM", 0.5), *(row(f"random{seed}", 0.5, measured_as={"dtype": "bfloat16"}) for seed in (1, 2))]
    rows[0]["measured_as"] = {"dtype": "float32"}
    rows = [{**found, "case": found["record"]} for found in rows]
    known = {found["record"]: items(found["record"], [1, 0] * 20) for found in rows}
    (found,) = against_random(rows, known, resamples=10, seed=0)
    said = "random1-10-None: dtype is not that of PPM-10-None; run both again"
    assert (found.reason, found.difference, found.p) == (said, None, None)
    assert "1 comparison not possible" in next(method_sentences([found]))[1]
    assert verdict_listing([found]).rows[1][4] == "–"
    (found,) = against_random([{**one, "measured_as": {}} for one in rows], known, resamples=10, seed=0)
    assert (found.reason, found.difference) == ("", 0)


def test_one_draw_that_was_measured_otherwise_is_left_out():
    rows = [row("PPM", 0.5), *(row(f"random{seed}", seed / 10) for seed in (1, 2, 3))]
    rows = [{**found, "case": found["record"], "measured_as": {"dtype": "float32"}} for found in rows]
    rows[3]["measured_as"] = {"dtype": "bfloat16"}
    known = {found["record"]: items(found["record"], [1, 0] * 20) for found in rows}
    (found,) = against_random(rows, known, resamples=10, seed=0)
    assert (found.seeds, found.random_low, found.random_high, found.reason) == (2, 0.1, 0.2, "")
    assert found.left_out == "random3-10-None: dtype is not that of PPM-10-None; run both again"
    assert found.difference == 0
    assert random_listing(adjusted([found])).rows[0][-1] == f"undecided; left out: {found.left_out}"


def test_a_collapsed_method_is_worse_by_no_number_and_a_collapsed_draw_has_no_mean():
    text = np.random.default_rng(3).normal(size=100)
    draws = [text - 4, text - 4.1, text - 3.9]
    method = compared(text - 1000, draws, Aggregation.PERPLEXITY)
    draw = compared(text - 3, [*draws[:2], text - 1000], Aggregation.PERPLEXITY)
    assert (method.difference, method.low, method.high) == (None, None, None)
    assert replace(method, p_holm=method.p).verdict is Verdict.WORSE
    assert (draw.difference, draw.p, draw.verdict) == (None, None, Verdict.UNDECIDED)
    assert draw.reason.startswith("a random selection has collapsed")


def claim(method, task, p, difference=0.1, percent=10):
    value = 0.5 + difference
    return AgainstRandom(
        "m", method, percent, None, None, None, 2.4, task, "acc", True, 3, value, 0.5, 0.45, 0.55, difference, 0, 0.2, p
    )


def test_a_score_within_the_range_of_the_draws_is_undecided():
    found = adjusted([claim("PPM", "a", 0.001, 0.04), claim("L2", "a", 0.001, 0.06)])
    assert [item.verdict for item in found] == [Verdict.UNDECIDED, Verdict.BETTER]


def test_one_set_of_layers_written_in_two_ways_is_one_draw():
    rows = [row("PPM", 0.5, layers="1-29"), *(row("random1", 0.5, layers="1-29", record=name) for name in "ab")]
    known = {found["record"]: items(found["record"], [1, 0] * 20) for found in rows}
    (found,) = against_random(rows, known, resamples=10, seed=0)
    assert (found.seeds, found.p) == (1, None)


def test_p_is_adjusted_over_the_tasks_of_a_method_at_a_level():
    found = adjusted([claim("PPM", "a", 0.02), claim("PPM", "b", 0.2), claim("L2", "a", 0.02)])
    assert [item.p_holm for item in found] == pytest.approx([0.04, 0.2, 0.02])


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [((1, 0), "better"), ((-1, 0), "worse"), ((1, -1), "mixed"), ((0, 0), "undecided")],
)
def test_the_verdict_over_tasks(differences, verdict):
    found = adjusted(
        [claim("PPM", str(place), 0.001 if sign else 0.9, sign / 10) for place, sign in enumerate(differences)]
    )
    assert verdict_over_tasks(found) == verdict


def test_tables_and_sentences_tell_each_method_at_each_level():
    found = adjusted([claim("PPM", "a", 0.001, -0.1), claim("PPM", "b", 0.9), claim("PPM_down", "a", 0.9)])
    assert [listed[3:] for listed in verdict_listing(found).rows] == [
        ("PPM", "0.400 ▼", "0.600", "worse"),
        ("PPM_down", "0.600", "–", "undecided"),
        ("random (3 seeds)", "0.500 (0.450 to 0.550)", "0.500 (0.450 to 0.550)", ""),
    ]
    assert len(random_listing(found).rows) == 3
    assert list(method_sentences(found)) == [
        (
            "m",
            "At p10 (2.4x), over 2 tasks and 3 random seeds: PPM is worse than random; PPM_down is undecided against "
            "random.",
        )
    ]
