from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from glu_lib.analysis import consolidate
from glu_lib.analysis.claims import GroupPoint, group_curves, trade_offs
from glu_lib.analysis.correlations import Correlation, correlations
from glu_lib.analysis.level_series import LevelSeries, families
from glu_lib.analysis.published.comparison import published_rows
from glu_lib.analysis.trends import Sensitivity, trend

NANO = Path(__file__).parents[3] / "results/measured/nano"
FAMILY = LevelSeries("m", "PPM", None, None, None)


def course(task, *values, better=True, percents=None):
    """A task's rows at p0, p10, …: 4.0x, 3.6x, …, 1000, 900, … parameters."""
    return [
        {
            "kind": "accuracy",
            "is_headline": True,
            "model": "m",
            "percent": percent,
            "method": "PPM" if percent else None,
            "divisor": None,
            "layers": None,
            "limit": None,
            "subject": task,
            "metric": "acc",
            "higher_is_better": better,
            "expansion_ratio": 4 - percent / 25,
            "parameters": 1000 - 10 * percent,
            "value": value,
            "baseline": values[0],
        }
        for percent, value in zip(percents or range(0, 10 * len(values), 10), values, strict=True)
    ]


def workload(task, metric, *values):
    return [
        {"kind": "energy", "subject": task, "metric": metric, "percent": 10 * number, "value": value}
        for number, value in enumerate(values)
    ]


@pytest.fixture(scope="module")
def published():
    """The published scores as printed: by relative score, without the blind scores."""
    return families([row | {"blind": None} for row in published_rows()])


def test_curves_are_means_over_the_tasks_of_a_kind():
    rows = [
        *course("a", 1.0, 0.8, 0.6),
        *course("b", 0.5, 0.45, 0.4),
        *course("c", 10.0, 12.5, 20.0, better=False),
        *course("d", 0.5, 0.5, 0.5),
    ]
    base = trend(FAMILY, course("a", 1.0, 0.8, 0.6))
    kinds = {"a": Sensitivity.FRAGILE, "b": Sensitivity.FRAGILE, "c": Sensitivity.FRAGILE, "d": Sensitivity.ROBUST}
    found = group_curves(rows, [replace(base, task=task, kind=kind) for task, kind in kinds.items()])
    assert [(curve.model, curve.kind) for curve in found] == [("m", Sensitivity.FRAGILE), ("m", Sensitivity.ROBUST)]
    first, middle, last = found[0].points
    assert first == GroupPoint(4.0, 1.0, 3, 1.0, 1.0)
    # 0.8, 0.9 and 10 / 12.5
    assert (middle.relative_score, middle.low, middle.high) == pytest.approx((2.5 / 3, 0.8, 0.9))
    assert (last.expansion_ratio, last.relative_score) == (3.2, pytest.approx((0.6 + 0.8 + 0.5) / 3))
    assert found[1].points[2] == GroupPoint(3.2, 1.0, 1, None, None)


def test_curves_keep_to_tasks_measured_at_all_levels():
    rows = [*course("a", 1.0, 0.8, 0.6), *course("b", 1.0, 0.1)]
    base = trend(FAMILY, course("a", 1.0, 0.8, 0.6))
    (found,) = group_curves(rows, [base, replace(base, task="b")])
    assert [point.tasks for point in found.points] == [1, 1, 1]


def test_the_published_correlation_of_mmlu_and_truthfulqa(published):
    # arXiv:2512.22671, abstract: r = -0.864, p = 0.012 in Llama-3.2-3B
    found = next(
        c
        for c in correlations(published[LevelSeries("llama3b", "PPM", None, None, None)])
        if (c.task_a, c.task_b) == ("mmlu", "truthfulqa_mc2")
    )
    assert (found.n, round(found.r, 3), round(found.p, 3)) == (7, -0.864, 0.012)
    # Fisher's z by hand: atanh(0.8644) ± 1.96 / 2
    assert (found.r_low, found.r_high) == pytest.approx((-0.9797, -0.3190), abs=1e-4)


def test_by_skill_the_published_correlation_of_mmlu_and_truthfulqa_does_not_exist():
    # No level's TruthfulQA mc2 is better than blind: there is no skill to correlate.
    found = correlations(families(published_rows())[LevelSeries("llama3b", "PPM", None, None, None)])
    assert found
    assert not any("truthfulqa_mc2" in (item.task_a, item.task_b) for item in found)


def test_every_pair_of_tasks_is_correlated_once(published):
    found = correlations(published[LevelSeries("llama1b", "PPM", None, None, None)])
    assert len({frozenset((c.task_a, c.task_b)) for c in found}) == len(found) == 13 * 12 // 2


def test_a_correlation_uses_the_shared_levels_and_the_better_side():
    rising = course("ppl", 10.0, 20.0, 40.0, 80.0, better=False)
    falling = course("acc", 0.8, 0.4, 0.2, percents=(0, 10, 20))
    (found,) = correlations([*rising, *falling])
    assert (found.n, found.r, found.r_low) == (3, pytest.approx(1.0), None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.8, 0.7), (0.5, 0.4)),
        ((0.8, 0.7, 0.6, 0.5), (0.5, 0.5, 0.5, 0.5)),
        ((0.8, 0.7, 0.6, 0.5), (1.0, 1.0 + 2.3e-16, 1.0, 1.0)),
    ],
)
def test_too_few_levels_and_constant_tasks_have_no_correlation(first, second):
    (found,) = correlations([*course("a", *first), *course("b", *second)])
    assert found == Correlation("m", "a", "b", len(first), None, None, None, None)


def test_pairs_that_are_computed_together_are_those_computed_alone():
    random = np.random.default_rng(1)
    percents = {"a": (0, 10, 20, 30, 40), "b": (0, 10, 20, 30, 40), "c": (0, 20, 40, 60), "d": (0, 10, 20, 30, 40, 60)}
    courses = {
        name: dict(zip(found, random.uniform(0.1, 1, len(found)), strict=True)) for name, found in percents.items()
    }
    rows = [row for name, values in courses.items() for row in course(name, *values.values(), percents=percents[name])]
    found = correlations(rows)
    assert [(item.task_a, item.task_b, item.n) for item in found] == [
        *(("a", "b", 5), ("a", "c", 3), ("a", "d", 5), ("b", "c", 3), ("b", "d", 5), ("c", "d", 4))
    ]
    for item in found:
        shared = [percent for percent in percents[item.task_a] if percent in percents[item.task_b]]
        expected = pearsonr(*([courses[task][percent] for percent in shared] for task in (item.task_a, item.task_b)))
        assert (item.r, item.p) == pytest.approx((expected.statistic, expected.pvalue))
        if item.n > 3:
            assert (item.r_low, item.r_high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_tasks_without_a_shared_level_are_not_correlated():
    assert correlations([*course("a", 1.0, 0.9), *course("b", 1.0, 0.9, percents=(20, 30))]) == []


def test_the_knee_lies_farthest_above_the_chord():
    # chord from (1000, 1.0) to (700, 0.4): 0.8 and 0.6 at 900 and 800
    found = trade_offs(course("a", 1.0, 0.95, 0.9, 0.4))
    assert [(level.level, level.parameters, level.on_front, level.is_best) for level in found] == [
        (0, 1000, True, False),
        (10, 900, True, False),
        (20, 800, True, True),
        (30, 700, True, False),
    ]
    assert [level.score for level in found] == pytest.approx([1.0, 0.95, 0.9, 0.4])
    assert {(level.energy_per_token_j, level.tokens_per_s) for level in found} == {(None, None)}


@pytest.mark.parametrize("values", [(1.0, 0.8, 0.6, 0.4), (1.0, 0.5, 0.3, 0.2), (1.0, 0.5), (1.0, 1.0, 1.0)])
def test_a_straight_or_sagging_fall_has_no_knee(values):
    assert not any(level.is_best for level in trade_offs(course("a", *values)))


def test_dominated_levels_are_off_the_front():
    found = trade_offs(course("a", 1.0, 0.7, 0.8, 0.4))
    assert [level.on_front for level in found] == [True, False, True, True]
    assert [level.is_best for level in found] == [False, False, True, False]


def test_energy_decides_on_the_front_where_all_levels_have_it():
    rows = course("a", 1.0, 0.7, 0.8, 0.4)
    energies = [*workload("w", "energy_per_token_j", 4, 1, 3, 5), *workload("v", "energy_per_token_j", 2, 2, 2, 2)]
    found = trade_offs(rows, [*energies, *workload("w", "tokens_per_s", 10, 20, 30, 40)])
    assert [level.on_front for level in found] == [True, True, True, True]
    assert [level.energy_per_token_j for level in found] == [3, 1.5, 2.5, 3.5]
    assert [level.tokens_per_s for level in found] == [10, 20, 30, 40]
    partly = trade_offs(rows, workload("w", "energy_per_token_j", 4, 1, 3))
    assert [level.on_front for level in partly] == [True, False, True, True]
    assert {level.energy_per_token_j for level in partly} == {None}


def test_energy_of_several_devices_does_not_decide():
    energies = workload("w", "energy_per_token_j", 4, 1, 3, 5)
    energies[1]["device"] = "another GPU"
    assert {level.energy_per_token_j for level in trade_offs(course("a", 1.0, 0.7, 0.8, 0.4), energies)} == {None}


def test_no_scores_no_levels():
    assert trade_offs([]) == []
    assert group_curves([], []) == []


def test_the_knee_of_the_embedded_model():
    rows = families(consolidate(NANO).rows)[LevelSeries("nano", "PPM", None, None, None)]
    assert [level.level for level in trade_offs(rows) if level.is_best] == [40]


def test_the_published_base_models_have_no_knee(published):
    # The first steps cost most: each level lies below the line from p0 to p60.
    for model in ("llama1b", "llama3b"):
        found = trade_offs(published[LevelSeries(model, "PPM", None, None, None)])
        assert (len(found), sum(level.is_best for level in found)) == (7, 0)
