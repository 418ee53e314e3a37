import pytest

from glu_lib.results.repeats import percentiles, summarize


def test_the_interval_is_students():
    found = summarize([1.0, 2.0, 3.0])
    assert (found["mean"], found["standard_deviation"], found["n"]) == (2.0, 1.0, 3)
    # t(0.975, 2) = 4.3027, from any printed table; half width 4.3027 · 1 / √3
    assert found["interval_low"] == pytest.approx(2 - 2.4841, abs=1e-3)
    assert found["interval_high"] == pytest.approx(2 + 2.4841, abs=1e-3)


def test_one_repeat_has_a_mean_and_no_interval():
    found = summarize([5.0])
    assert (found["mean"], found["standard_deviation"], found["interval_low"], found["n"]) == (5.0, None, None, 1)


@pytest.mark.parametrize("values", [[], [None], [1.0, None]])
def test_a_missing_repeat_leaves_no_summary(values):
    assert summarize(values)["mean"] is None


def test_a_summary_that_is_not_there_says_why():
    assert summarize([1.0, None, 3.0])["reason"] == "1 of 3 repeats have no figure"
    assert "reason" not in summarize([1.0, 2.0, 3.0])


def test_percentiles_lie_between_the_nearest_values():
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
    assert percentiles([]) == {"p50": None, "p90": None, "p99": None}
