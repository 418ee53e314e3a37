import pytest
from scipy.stats import binom

from glu_lib.analysis.published.blind import (
    Verdict,
    against_blind_score,
    beside_blind,
    published_controls,
    rises_towards_blind,
    with_blind,
)
from glu_lib.analysis.published.comparison import published_rows
from glu_lib.study import STUDY


def rows(task, *values, percents=(0, 20, 40, 60)):
    """An invented curve of one task, in the form of the published rows."""
    metric = STUDY.tasks[task].metric
    return with_blind(
        [
            {"model": "m", "subject": task, "percent": percent, "value": value, "is_headline": True}
            | {"expansion_ratio": 4 * (1 - percent / 100)}
            | {"metric": metric.name, "higher_is_better": metric.higher_is_better}
            | dict.fromkeys(("blind", "blind_control", "skill", "p_blind", "is_blind"))
            for percent, value in zip(percents, values, strict=True)
        ]
    )


def verdict(task, *values):
    (found,) = beside_blind(rows(task, *values))
    return found.verdict


@pytest.fixture(scope="module")
def published():
    return {(item.model, item.task): item for item in beside_blind(published_rows())}


def test_the_best_control_is_the_one_with_the_better_score():
    assert published_controls()["ifeval"].best == ("prompt", 0.249538)
    assert published_controls()["wikitext"].best == ("unigram", 9056.89)
    assert published_controls()["mmlu"].items == 14042
    assert "leaderboard_musr" not in published_controls()


def test_an_answer_at_random_has_no_skill_to_lose():
    assert verdict("mmlu", 0.25, 0.251, 0.249, 0.25) is Verdict.NO_SKILL


def test_an_answer_that_is_always_the_longest_has_no_skill_to_lose():
    longest = published_controls()["truthfulqa_mc1"].scores["longest"]
    assert longest > 0.226  # better than at random
    assert verdict("truthfulqa_mc1", longest, longest, longest, longest) is Verdict.NO_SKILL


def test_a_fall_to_a_full_stop_is_a_skill_lost():
    stop = published_controls()["ifeval"].scores["full stop"]
    found = rows("ifeval", 0.6, 0.5, stop, stop)
    assert [row["is_blind"] for row in found] == [False, False, True, True]
    assert found[0]["skill"] == 1
    assert found[2]["skill"] < 0  # the prompt's own text gets more
    assert verdict("ifeval", 0.6, 0.5, stop, stop) is Verdict.LOST


def test_a_rise_to_a_full_stop_is_a_rise_towards_blind_and_no_improvement():
    (found,) = rises_towards_blind(beside_blind(rows("ifeval", 0.05, 0.1, 0.15, 0.15)))
    assert (found.verdict, found.unpruned, found.last) == (Verdict.NO_SKILL, 0.05, 0.15)
    assert found.skill is None


def test_a_model_that_is_truly_better_keeps_its_skill():
    found = rows("boolq", 0.82, 0.78, 0.74, 0.72)
    assert not any(row["is_blind"] for row in found)
    best = published_controls()["boolq"].best[1]
    assert found[3]["skill"] == pytest.approx((0.72 - best) / (0.82 - best))
    assert verdict("boolq", 0.82, 0.78, 0.74, 0.72) is Verdict.KEPT


def test_a_rise_above_blind_is_no_rise_towards_it():
    assert verdict("ifeval", 0.1, 0.4, 0.5, 0.6) is Verdict.GAINED
    assert not list(rises_towards_blind(beside_blind(rows("ifeval", 0.1, 0.4, 0.5, 0.6))))


def test_a_task_without_complete_data_has_no_verdict():
    (found,) = beside_blind(rows("leaderboard_musr", 0.3, 0.4, 0.5, 0.6))
    assert (found.verdict, found.controls, found.skill) == (Verdict.UNKNOWN, {}, None)


def test_perplexities_go_by_logarithms():
    best = published_controls()["wikitext"].best[1]
    found = rows("wikitext", 10.0, (10 * best) ** 0.5, best, 2 * best)
    assert [row["skill"] for row in found] == pytest.approx([1, 0.5, 0, 0])
    assert [row["is_blind"] for row in found] == [None, None, True, True]  # above blind there is no test


def test_shares_are_tested_by_the_exact_binomial_test():
    row = {"value": 0.20, "metric": "acc", "subject": "boolq", "higher_is_better": True}
    p, is_blind = against_blind_score(row, 0.1, 100)
    # By hand: the tail at 20, and of the other side what is as unlikely or less.
    upper, at = binom.sf(19, 100, 0.1), binom.pmf(20, 100, 0.1)
    lower = sum(binom.pmf(hits, 100, 0.1) for hits in range(10) if binom.pmf(hits, 100, 0.1) <= at)
    assert p == pytest.approx(upper + lower)
    assert is_blind is False
    assert against_blind_score(row | {"value": 0.14}, 0.1, 100)[1] is True  # above, but as chance would have it
    assert against_blind_score(row | {"value": 0.01}, 0.1, 100)[1] is True  # worse is not better


def test_a_probability_mass_is_not_tested_above_blind():
    row = {"metric": "acc", "subject": "truthfulqa_mc2", "higher_is_better": True}
    assert against_blind_score(row | {"value": 0.49}, 0.483, 817) == (None, None)
    assert against_blind_score(row | {"value": 0.48}, 0.483, 817) == (None, True)


def test_the_published_findings(published):
    mc2 = published["llama1b", "truthfulqa_mc2"]
    assert (mc2.unpruned, mc2.last, mc2.controls) == (0.3772, 0.4661, {"flat": 0.483357, "uniform": 0.448409})
    assert (mc2.verdict, mc2.is_rise) == (Verdict.NO_SKILL, True)
    ifeval = published["llama1b", "ifeval"]
    assert (ifeval.unpruned, ifeval.last, ifeval.highest, ifeval.highest_percent) == (0.1035, 0.1368, 0.1811, 30)
    assert ifeval.controls["full stop"] == 0.149723
    assert (ifeval.verdict, ifeval.is_rise) == (Verdict.NO_SKILL, True)
    assert published["instruct1b", "ifeval"].verdict is Verdict.LOST
    assert published["llama1b", "boolq"].verdict is Verdict.NO_SKILL
    assert published["llama3b", "boolq"].blind_percents == (10, 20, 30, 40, 50, 60)
    assert published["llama1b", "hellaswag"].verdict is Verdict.KEPT
    assert published["llama1b", "leaderboard_musr"].verdict is Verdict.UNKNOWN


def test_only_headline_rows_have_a_blind_score():
    found = published_rows()
    assert all(row["blind"] is None for row in found if not row["is_headline"])
    known = {row["subject"] for row in found if row["is_headline"] and row["blind"] is not None}
    assert known == {row["subject"] for row in found} - {"leaderboard_musr"}
    assert all(row["skill_low"] is None for row in found)
