import numpy as np
import pytest
from scipy import stats

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.level_series import LevelSeries, by_task, families, relative_score
from glu_lib.analysis.pairing import Pairs
from glu_lib.analysis.trends import Sensitivity, _slopes, classify, level_trends, trend

FAMILY = LevelSeries("m", "PPM", None, None, None)


def row(percent, value, *, baseline=None, task="t", model="m", method="PPM", limit=None, better=True, **pruned):
    return {
        "kind": "accuracy",
        "is_headline": True,
        "model": model,
        "percent": percent,
        "method": method if percent else None,
        "divisor": None,
        "layers": None,
        "limit": limit,
        "subject": task,
        "metric": "acc",
        "higher_is_better": better,
        "expansion_ratio": 4 - percent / 25,
        "value": value,
        "baseline": baseline,
        **pruned,
    }


def course(*values, step=10, **options):
    return [row(step * number, value, baseline=values[0], **options) for number, value in enumerate(values)]


def items(levels, *, aggregation=Aggregation.RATIO, counts=1.0):
    values = np.asarray(levels, dtype=float)
    terms = np.stack([values, np.full_like(values, counts)], axis=-1)
    size = values.shape[1]
    names = tuple(f"m-p{10 * number}-t" for number in range(len(values)))
    return Pairs(names, aggregation, terms, np.zeros(size, dtype=int), np.array([float(size)]))


@pytest.mark.parametrize(
    ("value", "baseline", "better", "expected"),
    [
        (0.4, 0.8, True, 0.5),
        (0.8, 0.4, True, 2.0),
        (20.0, 10.0, False, 0.5),
        (10.0, 20.0, False, 2.0),
        (0.4, None, True, None),
        (None, 0.8, True, None),
        (0.4, 0.0, True, None),
        (0.1, -0.1, True, None),
        (0.0, 2.0, False, None),
    ],
)
def test_relative_scores_are_better_when_larger(value, baseline, better, expected):
    assert relative_score(row(40, value, baseline=baseline, better=better)) == expected


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (-0.3, -0.06, Sensitivity.FRAGILE),
        (-0.3, -0.05, Sensitivity.UNDECIDED),
        (-0.3, 0.1, Sensitivity.UNDECIDED),
        (-0.04, 0.1, Sensitivity.ROBUST),
        (-0.04, -0.01, Sensitivity.ROBUST),
        (0.0, 0.1, Sensitivity.ROBUST),
        (0.01, 0.1, Sensitivity.IMPROVING),
    ],
)
def test_kinds_by_the_whole_interval(low, high, kind):
    assert classify(low, high) is kind


def test_a_straight_line_by_hand():
    # 4.0x, 3.6x, 3.2x, 2.8x: 0.1 of the baseline lost per 0.4x
    found = trend(FAMILY, course(1.0, 0.9, 0.8, 0.7))
    assert found.slope == pytest.approx(-0.25)
    assert (found.slope_low, found.slope_high) == pytest.approx((-0.25, -0.25))
    assert (found.kind, found.levels, found.source) == (Sensitivity.FRAGILE, 4, "levels")
    assert (found.model, found.method, found.task, found.metric) == ("m", "PPM", "t", "acc")


def test_the_interval_over_levels_is_the_regressions():
    values = (0.5, 0.52, 0.47, 0.49, 0.45)
    found = trend(FAMILY, course(*values))
    removed = 0.4 * np.arange(5)
    line = stats.linregress(removed, np.array(values) / 0.5)
    margin = 3.182446 * line.stderr  # t(0.975, 3), from a printed table
    assert (found.slope_low, found.slope_high) == pytest.approx((line.slope - margin, line.slope + margin), rel=1e-5)


def test_two_levels_have_a_slope_and_no_kind():
    found = trend(FAMILY, course(1.0, 0.5))
    assert (found.slope, found.slope_low, found.slope_high) == (pytest.approx(-1.25), None, None)
    assert (found.kind, found.levels) == (Sensitivity.UNDECIDED, 2)


def test_one_level_has_no_slope():
    assert trend(FAMILY, course(1.0)).slope is None


def test_perplexities_that_rise_are_fragile():
    found = trend(FAMILY, course(10.0, 10 / 0.9, 10 / 0.8, 10 / 0.7, better=False))
    assert (found.slope, found.kind) == (pytest.approx(-0.25), Sensitivity.FRAGILE)


def shares(items_, *levels, seed=0):
    """Answers that are right together: an item's difficulty is the same at each level."""
    difficulty = np.random.default_rng(seed).random(items_)
    return np.array([difficulty < level for level in levels], dtype=float)


def test_items_give_the_interval_where_they_are_known():
    answers = shares(500, 0.8, 0.7, 0.6, 0.5)
    levels = course(*answers.mean(axis=1))
    found = trend(FAMILY, levels, items(answers))
    assert (found.source, found.kind) == ("items", Sensitivity.FRAGILE)
    # Delta method: influence of each item on the slope of v_l / v_0
    values, centred = answers.mean(axis=1), 0.4 * (np.arange(4) - 1.5)
    ratios = answers / values[0] - answers[0] * (values / values[0] ** 2)[:, None]
    error = (centred @ ratios / (centred @ centred)).std() / np.sqrt(500)
    # a percentile interval of 10,000 resamples; 5 % for its noise and the curvature of the ratio
    assert found.slope_high - found.slope_low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_intervals_of_items_cover():
    truth = np.array([0.8, 0.7, 0.65, 0.5])
    centred = 0.4 * (np.arange(4) - 1.5)
    slope = centred @ (truth / truth[0]) / (centred @ centred)
    hits = 0
    for seed in range(300):
        answers = shares(300, *truth, seed=seed)
        found = trend(FAMILY, course(*answers.mean(axis=1)), items(answers), resamples=400, seed=seed)
        hits += found.slope_low <= slope <= found.slope_high
    assert 0.91 <= hits / 300 <= 0.985  # 300 runs have a standard deviation of 1.3 %


def test_perplexities_of_items_are_scored_as_such():
    logs = -np.random.default_rng(0).gamma(4, 10, size=(1, 200)) * np.array([[1.0], [1.1], [1.2]])
    pairs = items(logs, aggregation=Aggregation.PERPLEXITY, counts=40.0)
    found = trend(FAMILY, course(*pairs.scores, better=False), pairs)
    assert (found.source, found.kind) == ("items", Sensitivity.FRAGILE)
    assert found.slope_low < found.slope < found.slope_high < 0


def test_a_baseline_near_zero_falls_back_to_the_levels_and_says_so():
    # two of 500 right at p0: some resamples have none, and nothing can be measured in units of that
    answers = np.zeros((3, 500))
    answers[:, :2] = 1
    found = trend(FAMILY, course(*answers.mean(axis=1)), items(answers))
    assert found.source == "levels"


def test_families_share_the_baseline_of_their_model_and_limit():
    rows = [
        *course(0.8, 0.7),
        row(30, 0.5, baseline=0.8, method="VOW"),
        row(10, 0.6, baseline=0.8, divisor=64),
        row(10, 0.75, baseline=0.8, layers="1-29"),
        *course(0.9, 0.3, limit=8),
        row(0, 0.5, baseline=0.5, model="other"),
        row(10, 12.0) | {"kind": "energy"},
        row(10, 0.2) | {"is_headline": False},
    ]
    found = {key: [(r["percent"], r["value"]) for r in value] for key, value in families(rows).items()}
    assert found == {
        LevelSeries("m", "PPM", None, None, None): [(0, 0.8), (10, 0.7)],
        LevelSeries("m", "VOW", None, None, None): [(0, 0.8), (30, 0.5)],
        LevelSeries("m", "PPM", 64, None, None): [(0, 0.8), (10, 0.6)],
        LevelSeries("m", "PPM", None, "1-29", None): [(0, 0.8), (10, 0.75)],
        LevelSeries("m", "PPM", None, None, 8): [(0, 0.9), (10, 0.3)],
    }


def test_tasks_start_at_the_baseline_and_skip_what_has_no_relative_score():
    rows = [row(20, 0.1), row(10, 0.5, baseline=1.0), row(0, 1.0, baseline=1.0), row(10, 3, baseline=2, task="u")]
    assert {task: [r["percent"] for r in found] for task, found in by_task(rows).items()} == {"t": [0, 10], "u": [10]}


def test_trends_of_a_table_come_without_items():
    rows = [*course(1.0, 0.9, 0.8, 0.7), *course(0.5, 0.5, 0.5, 0.5, task="u")]
    assert [(found.task, found.kind) for found in level_trends(rows)] == [
        ("t", Sensitivity.FRAGILE),
        ("u", Sensitivity.ROBUST),
    ]


def test_constant_scores_have_a_slope_of_exactly_nothing_at_real_ratios():
    """Rounding alone once called a constant task improving: nano's ratios do not sum to a round number."""
    removed = 4.0 - np.array([512, 461, 410, 359, 308, 256, 205]) / 128
    assert _slopes(removed, np.full(7, 0.82)) == 0.0
    assert (_slopes(removed, np.full((100, 7), 1.0)) == 0.0).all()
