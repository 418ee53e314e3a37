"""Blind scores and skill of samples that may be few, mixed, malformed or absurd."""

import json
from pathlib import Path

import numpy as np
import pytest

from glu_lib.analysis import conclude
from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.items import Items
from glu_lib.analysis.skill import Blind, Skill, conservative_interval, skill_of, with_skill
from glu_lib.results.address import RecordId
from glu_lib.results.collapse import LIMIT
from glu_lib.results.records import Samples
from glu_lib.results.store import Store
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = Path(__file__).parents[3] / "results/measured/nano"
COUNT = 40


def right(share, count=COUNT):
    return [float(place < share * count) for place in range(count)]


def write(root, percent, values, controls):
    """A record of nano's facts with these items; `controls` gives those of each item, None: an early version's."""
    for folder in ("individual_files", "samples"):
        (root / folder).mkdir(exist_ok=True)
    case = Case(STUDY.models["nano"], Pruning(percent), STUDY.tasks["facts"])
    record = json.loads(Store(NANO).record_path(RecordId(case)).read_text())
    samples = [dict(sample) for sample in Store(NANO).read_samples(Samples(**record["samples"]))[: len(values)]]
    for place, (sample, value) in enumerate(zip(samples, values, strict=True)):
        sample.pop("controls", None)
        sample["acc"] = value
        if controls is not None:
            sample["controls"] = {name: found[place] for name, found in controls.items()}
    headline = record["score"]["headline"]
    headline["value"] = record["score"]["metrics"][0]["value"] = float(np.mean(values))
    headline["count"] = record["score"]["metrics"][0]["count"] = len(values)
    record["samples"]["count"] = len(values)
    Store(root).write(RecordId(case), record, samples)


def found(root):
    told = conclude(root)
    json.dumps(told.rows, allow_nan=False)
    return told, {row["percent"]: row for row in told.rows if row["is_headline"] and row["kind"] == "accuracy"}


UNIFORM = {"uniform": [0.25] * COUNT}


def test_few_items_keep_their_comparison_and_have_no_skill(tmp_path):
    for percent, share in ((0, 1), (40, 0)):
        write(tmp_path, percent, right(share, 10), {"uniform": [0.25] * 10})
    told, rows = found(tmp_path)
    assert rows[40]["p"] == pytest.approx(2 / 2**10)
    assert (rows[40]["skill"], rows[0]["is_blind"]) == (None, None)
    assert told.untested == ()


def test_skill_and_score_are_not_mixed_where_a_level_has_no_controls(tmp_path):
    for percent, share, controls in ((0, 1, UNIFORM), (20, 0.8, None), (40, 0.5, UNIFORM)):
        write(tmp_path, percent, right(share), controls)
    told, rows = found(tmp_path)
    assert [rows[percent]["blind"] for percent in (0, 20, 40)] == [None] * 3
    assert [point.score for point in told.trade_offs] == pytest.approx([1, 0.8, 0.5])
    assert told.untested == (
        "nano-p20-facts: its samples hold no blind answers (of an earlier version, or a warning of its run says why), "
        "those of other levels do; no level of this task has a skill until it is run again: --rerun",
    )


def test_only_controls_of_all_levels_make_the_zero(tmp_path):
    write(tmp_path, 0, right(0.9), UNIFORM | {"longest": right(0.6)})
    write(tmp_path, 40, right(0.8), UNIFORM)
    _, rows = found(tmp_path)
    assert (rows[0]["blind_control"], rows[0]["blind"]) == ("uniform", 0.25)
    assert rows[40]["skill"] == pytest.approx((0.8 - 0.25) / (0.9 - 0.25))


@pytest.mark.parametrize("value", ["much", None, [1, 2, 3], 1e308, {"a": 1}])
def test_a_malformed_control_costs_the_blind_score_and_nothing_else(tmp_path, value):
    write(tmp_path, 0, right(0.9), UNIFORM)
    write(tmp_path, 40, right(0.5), {"uniform": [0.25] * (COUNT - 1) + [value]})
    told, rows = found(tmp_path)
    assert rows[40]["p"] is not None
    assert rows[40]["blind"] is None
    assert told.problems == (
        "nano-p40-facts: its control 'uniform' is no acc; blind score left out: run the case again",
    )


@pytest.mark.parametrize("name", ["a" * 100_000, "two\nlines", "\x1b[31m"])
def test_a_name_that_is_no_short_line_is_no_control(tmp_path, name):
    write(tmp_path, 0, right(0.9), UNIFORM)
    write(tmp_path, 40, right(0.5), {name: [0.25] * COUNT})
    told, rows = found(tmp_path)
    assert rows[40]["blind"] is None
    (problem,) = told.problems
    assert problem.isprintable()
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("value", "blind", "unpruned", "skill"),
    [
        (0.6, 0.2, 1.0, 0.5),
        (0.1, 0.2, 1.0, -0.125),
        (0.3, 0.2, 0.2, None),
    ],
)
def test_skill_of_shares(value, blind, unpruned, skill):
    assert skill_of(value, blind, unpruned, blind, on_log_scale=False) == (skill if skill is None else approx(skill))


def test_skill_of_perplexities_is_cut_off_at_blind_and_at_the_limit():
    assert skill_of(10.0, 100.0, 1.0, 100.0, on_log_scale=True) == approx(0.5)
    assert skill_of(200.0, 100.0, 1.0, 100.0, on_log_scale=True) == 0
    assert skill_of(float("inf"), float("inf"), 10.0, float("inf"), on_log_scale=True) == 0
    assert skill_of(10.0, 1e104, 10.0, 1e104, on_log_scale=True) == 1
    assert skill_of(100.0, LIMIT * 10, 10.0, LIMIT * 10, on_log_scale=True) == approx(58 / 59)


def test_skill_of_a_score_where_less_is_better():
    found = skill_of(0.7, 1.0, 0.4, 1.0, on_log_scale=False, higher_is_better=False)
    assert found == approx(0.5)


@pytest.mark.parametrize(("loss", "has_interval"), [(0.02, True), (5, False)])
def test_a_perplexity_near_blind_has_skill_0_with_an_interval(loss, has_interval):
    texts = np.random.default_rng(0).normal(5, 1, size=60)
    noise = np.random.default_rng(1).normal(0, 0.3, size=60)

    def of(nats):
        terms = np.stack([-nats, np.ones(60)], axis=-1)
        keys = tuple(("t", place, "none") for place in range(60))
        return Items("m", "perplexity", Aggregation.PERPLEXITY, keys, ("",) * 60, terms, np.zeros(60, int), np.ones(1))

    blind = Blind("unigram", float(np.exp(texts.mean())), of(texts).terms)
    level = of(texts + noise - noise.mean() + loss)
    found = with_skill(Skill(blind.score, "unigram"), level, blind, of(texts - 3), blind, higher_is_better=False)
    assert found.value == 0
    assert (found.low, found.high is not None) == (0 if has_interval else None, has_interval)
    assert not has_interval or 0 < found.high < 0.1


def test_undefined_resamples_count_against_both_ends():
    values = np.linspace(0, 1, 1000)
    assert conservative_interval(values) == approx((0.024, 0.974), abs=0.002)
    values[:10] = np.nan
    low, high = conservative_interval(values)
    assert low == approx(0.024, abs=0.002)
    assert high > 0.98
    values[:30] = np.nan
    assert conservative_interval(values) is None


approx = pytest.approx
