"""A collapsed perplexity in the tables and in what is concluded from them: worse than every finite one."""

import csv
import json
import math
import re

import numpy as np
import pandas
import pytest
from made_records import made_record

from glu_lib.analysis import conclude, consolidate, headline_tables, write_tables
from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.changes import COLLAPSED_BASELINE
from glu_lib.analysis.claims import group_curves, trade_offs
from glu_lib.analysis.correlations import correlations
from glu_lib.analysis.items import read_items
from glu_lib.analysis.level_series import LevelSeries, retained
from glu_lib.analysis.pairing import Pairs, pair
from glu_lib.analysis.resampling import FEWEST_CLUSTERS, percentile_interval, resampled_scores
from glu_lib.analysis.significance import Procedure, compare_samples
from glu_lib.analysis.trends import Sensitivity, trend
from glu_lib.errors import RecordError
from glu_lib.results.collapse import LIMIT, LOWEST_LOG_LIKELIHOOD

LOG_1E87, LOG_1E400 = 87 * math.log(10), 400 * math.log(10)
VALUES = pytest.mark.parametrize("log_value", [LOG_1E87, LOG_1E400, None], ids=["1e87", "1e400", "infinity"])


def narrative(rows, level):
    (found,) = [row for row in rows if row["case"] == f"nano-{level}-narrative"]
    return found


@VALUES
def test_a_collapsed_level_stands_in_the_tables_with_all_else_of_its_folder(collapsed, log_value):
    root = collapsed(p0="measured", p40=log_value)
    found = conclude(root)
    assert found.problems == found.untested == ()
    assert len(found.rows) == 10  # lastword has two metrics
    row = narrative(found.rows, "p40")
    assert (row["value"], row["stderr"], row["delta"], row["relative_delta"]) == (None, None, None, None)
    assert (row["is_collapsed"], row["log_value"]) == (True, log_value and pytest.approx(log_value))
    assert row["baseline"] == narrative(found.rows, "p0")["value"] == pytest.approx(1.534, abs=1e-3)
    assert narrative(found.rows, "p0")["is_collapsed"] is False
    csv_path, json_path, parquet_path = write_tables(root, found.rows)
    text = narrative(csv.DictReader(csv_path.read_text().splitlines()), "p40")
    assert (text["value"], text["is_collapsed"]) == ("", "True")
    assert narrative(json.loads(json_path.read_text()), "p40")["is_collapsed"] is True
    assert pandas.read_parquet(parquet_path)["is_collapsed"].sum() == 1


def test_a_record_of_before_holds_the_perplexity_as_a_number(collapsed):
    root = collapsed(p0="measured", p40=LOG_1E87, is_legacy=True)
    found = conclude(root)
    row = narrative(found.rows, "p40")
    assert found.problems == ()
    assert (row["value"], row["is_collapsed"], row["log_value"]) == (None, True, pytest.approx(LOG_1E87))
    assert row["p"] == pytest.approx(2 / 10_001)


@VALUES
def test_the_change_is_tested_item_by_item(collapsed, log_value):
    row = narrative(conclude(collapsed(p0="measured", p40=log_value)).rows, "p40")
    assert (row["test"], row["pairs"]) == (Procedure.PAIRED, 200)
    assert (row["delta_high"], row["delta_low"] is None) == (None, log_value is not None)
    # In about e^-1 of the resamples the one text of probability 0 is not drawn: there the perplexity is the measured.
    assert row["p"] == pytest.approx(2 / 10_001)
    assert row["p_holm"] < 0.05


def test_a_collapsed_baseline_is_none(collapsed):
    found = conclude(collapsed(p0=LOG_1E400, p40="measured"))
    assert narrative(found.rows, "p0")["is_collapsed"] is True
    assert narrative(found.rows, "p40")["baseline"] is None
    assert found.untested == (f"nano-p40-narrative: {COLLAPSED_BASELINE}",)
    assert found.problems == ()


@VALUES
def test_nothing_is_left_of_it_in_trends_curves_and_trade_offs(collapsed, log_value):
    found = conclude(collapsed(p0="measured", p20="measured", p40=log_value))
    (course,) = [trend for trend in found.trends if trend.task == "narrative"]
    assert (course.kind, course.levels, course.source) == (Sensitivity.FRAGILE, 3, "items")
    assert retained(narrative(found.rows, "p40")) == 0
    (fragile,) = [curve for curve in found.curves if curve.kind is Sensitivity.FRAGILE]
    assert fragile.points[-1].low == 0
    assert [level.level for level in found.trade_offs] == [0, 20, 40]
    others = [retained(row) for row in found.rows if row["is_headline"] and row["percent"] == 40]
    assert found.trade_offs[-1].score == pytest.approx(sum(others) / 4)
    assert sorted(others)[0] == 0
    assert all(np.isfinite(pair.r) for pair in found.correlations)


def tidy(percent, value, *, is_collapsed=False):
    return {
        "kind": "accuracy",
        "is_headline": True,
        "model": "m",
        "percent": percent,
        "method": "PPM" if percent else None,
        "divisor": None,
        "layers": None,
        "limit": None,
        "subject": "t",
        "metric": "word_perplexity",
        "higher_is_better": False,
        "expansion_ratio": 4 - percent / 25,
        "parameters": 1000 - percent,
        "value": value,
        "is_collapsed": is_collapsed,
        "baseline": 10.0,
    }


COURSE = [tidy(0, 10.0), tidy(10, 20.0), tidy(20, None, is_collapsed=True)]


def test_without_items_a_collapse_counts_as_well():
    found = trend(LevelSeries("m", "PPM", None, None, None), COURSE)
    assert found.slope == pytest.approx(-1 / 0.8)  # 1, 0.5, 0 over 0.8x removed
    (curve,) = group_curves(COURSE, [found])
    assert [point.relative_score for point in curve.points] == [1.0, 0.5, 0.0]
    assert [level.on_front for level in trade_offs(COURSE)] == [True, True, True]
    assert correlations(COURSE) == []


def terms(*models, weight=10.0):
    """Log-likelihoods (models, items) as pairs of models."""
    values = np.asarray(models, dtype=float)
    names = tuple(f"m-p{10 * number}-t" for number in range(len(values)))
    stacked = np.stack([values, np.full_like(values, weight)], axis=-1)
    size = values.shape[1]
    return Pairs(names, Aggregation.PERPLEXITY, stacked, np.zeros(size, dtype=int), np.array([float(size)]))


GOOD = np.linspace(-30, -10, 40)


def test_every_collapsed_score_is_worse_than_every_finite_one_and_equal_to_each_other():
    barely, hopeless = np.full(40, -2000.0), np.full(40, LOWEST_LOG_LIKELIHOOD)
    assert (
        compare_samples(terms(GOOD, hopeless)).p == compare_samples(terms(GOOD, barely)).p == pytest.approx(2 / 10_001)
    )
    both = compare_samples(terms(barely, hopeless))
    assert (both.delta, both.delta_low, both.delta_high, both.p) == (None, 0.0, 0.0, 1.0)
    better = compare_samples(terms(hopeless, GOOD))
    assert (better.delta_low, better.delta_high, better.p) == (None, None, pytest.approx(2 / 10_001))


def test_an_interval_that_reaches_into_collapse_is_open_at_that_end():
    mixed = GOOD.copy()
    mixed[0] = -1e6  # collapses whenever it is drawn, in 1 - e^-1 of the resamples
    found = compare_samples(terms(GOOD, mixed))
    assert found.delta_high is None
    assert 0 <= found.delta_low < 10


def test_a_percentile_between_a_number_and_infinity_is_one_of_the_values():
    values = np.array([*np.arange(1000.0), *[np.inf] * 25])
    assert percentile_interval(values) == (25.0, 999.0)
    assert percentile_interval(np.array([*np.arange(1000.0), *[np.inf] * 26])) == (25.0, np.inf)


def test_resampled_subtasks_that_have_collapsed_are_numbers():
    values = np.tile(GOOD, FEWEST_CLUSTERS)
    numbers = np.repeat(np.arange(FEWEST_CLUSTERS), len(GOOD))
    broken = np.where(numbers == 3, LOWEST_LOG_LIKELIHOOD, values)
    found = terms(values, broken)
    clusters = Pairs(found.cases, found.aggregation, found.terms, numbers, np.full(FEWEST_CLUSTERS, 40.0))
    scores = resampled_scores(clusters, resamples=500)
    assert np.isfinite(scores).all()
    assert scores[:, 1].max() <= LIMIT
    assert scores[:, 0].max() < 100


def test_slopes_of_items_are_finite_where_a_level_has_collapsed():
    pairs = terms(GOOD, GOOD * 1.2, np.full(40, LOWEST_LOG_LIKELIHOOD))
    found = trend(LevelSeries("m", "PPM", None, None, None), COURSE, pairs, resamples=500)
    assert found.source == "items"
    assert -1.3 < found.slope_low <= found.slope_high < 0


def test_a_baseline_of_which_some_resamples_collapse_is_no_unit():
    mixed = GOOD.copy()
    mixed[0] = -1e6
    found = trend(LevelSeries("m", "PPM", None, None, None), COURSE, terms(mixed, GOOD, GOOD), resamples=500)
    assert found.source == "levels"


@pytest.mark.parametrize(
    ("samples", "fields"),
    [
        ([[-3000.0, 10], [-6210.0, 10]], {"log_value": 460.5}),
        ([[-30000.0, 10], [-62100.0, 10]], {"log_value": 4605.0}),
        ([["-inf", 10], [-20.0, 10]], {"log_value": None}),
        ([[-3000.0, 10], [-6210.0, 10]], {"is_collapsed": False, "value": math.exp(460.5)}),
    ],
)
def test_items_give_the_recorded_collapse(samples, fields):
    found = pair([read_items(*made(samples, fields))])
    assert found.scores[0] > LIMIT


@pytest.mark.parametrize(
    ("samples", "fields", "said"),
    [
        (
            [[-3000.0, 10], [-6210.0, 10]],
            {"log_value": 461.5},
            "its items give 9.83125e+199, the record says a collapse",
        ),
        ([[-30.0, 10], [-62.0, 10]], {"log_value": 461.5}, "its items give 99.4843, the record says a collapse"),
        (
            [[-3000.0, 10], [-6210.0, 10]],
            {"value": 4.0, "is_collapsed": False},
            "its items give 9.83125e+199, the record says 4;",
        ),
        ([["inf", 10], [-6210.0, 10]], {"log_value": 461.5}, "word_perplexity has items such as ['inf', 10]"),
    ],
)
def test_items_of_another_value_are_refused(samples, fields, said):
    with pytest.raises(RecordError, match=re.escape(said)):
        read_items(*made(samples, fields))


def made(values, fields):
    samples = [
        {"task": "t", "doc_id": number, "filter": "none", "word_perplexity": value, "doc_hash": f"{number}"}
        for number, value in enumerate(values)
    ]
    named = {"task": "t", "metric": "word_perplexity", "filter": "none", "label": "word_perplexity"}
    said = {"value": None, "is_collapsed": True, "log_value": None} | fields
    headline = named | said | {"higher_is_better": False, "chance": None}
    score = {"headline": headline, "metrics": [named | {"value": 1.0}]}
    record = {"case": {"id": "m-p40-t"}, "score": score, "samples": {"count": len(samples)}}
    return made_record(record), samples


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 3.0}, "is_collapsed is true for value 3.0; run the case again"),
        ({"log_value": 0.5}, "log_value is 0.5, not the logarithm of a collapsed value; run the case again"),
        ({"log_value": "x"}, "score.headline.log_value is 'x', not a finite number (and 1 more); run the case again"),
        (
            {"is_collapsed": "yes"},
            "score.headline.is_collapsed is 'yes', not true or false (and 1 more); run the case again",
        ),
        ({"is_collapsed": False}, "log_value is 921.03"),
        ({"is_collapsed": False, "log_value": None, "value": 8.9e87}, "value is 8.9e+87, not a finite number; run"),
    ],
)
def test_a_collapse_that_cannot_be_is_refused(collapsed, changes, message):
    root = collapsed(p40=LOG_1E400)
    path = root / "individual_files/nano/p40/nano-p40-narrative.json"
    record = json.loads(path.read_text())
    for place in (record["score"]["headline"], record["score"]["metrics"][0]):
        place |= changes
    path.write_text(json.dumps(record))
    found = consolidate(root)
    assert [line.startswith(f"{path}: {message}") for line in found.problems] == [True], found.problems
    assert len(found.rows) == 4  # the other cases'


def test_a_share_has_not_collapsed(collapsed):
    root = collapsed(p40=LOG_1E400)
    path = root / "individual_files/nano/p40/nano-p40-facts.json"
    record = json.loads(path.read_text())
    del record["sha256"]
    for place in (record["score"]["headline"], record["score"]["metrics"][0]):
        place |= {"value": None, "is_collapsed": True, "log_value": None}
    path.write_text(json.dumps(record))
    (problem,) = consolidate(root).problems
    assert "is_collapsed is true for a score where higher is better; run the case again" in problem


def test_a_standard_error_beyond_the_limit_throws_nothing_out(collapsed):
    root = collapsed(p40=math.log(1e50))
    path = root / "individual_files/nano/p40/nano-p40-narrative.json"
    record = json.loads(path.read_text())
    for place in (record["score"]["headline"], record["score"]["metrics"][0]):
        place["stderr"] = 1e62
        del place["is_collapsed"], place["log_value"]
    path.write_text(json.dumps(record))
    row = narrative(consolidate(root).rows, "p40")
    assert (row["value"], row["stderr"], row["is_collapsed"]) == (pytest.approx(1e50), None, False)


def test_the_legend_says_what_collapsed_means(collapsed):
    (table,) = headline_tables(consolidate(collapsed(p0="measured", p40=None)).rows)
    assert table.legend == ["collapsed: above 1e60, or infinite (∞); worse than every finite score"]
