import math
from collections import Counter

import pytest

from glu_lib.analysis import COLUMNS, headline_tables
from glu_lib.analysis.published.comparison import ACCURACY_TABLE, Beside, beside, published_rows, unlike
from glu_lib.study import STUDY


@pytest.fixture(scope="module")
def published():
    return published_rows()


def find(rows, model, percent, task, metric=None):
    return next(
        row
        for row in rows
        if (row["model"], row["percent"], row["subject"]) == (model, percent, task)
        and (row["is_headline"] if metric is None else row["metric"] == metric)
    )


def own(published, model="llama1b", percent=40, task="boolq", metric=None, **changes):
    """An own row that equals the published one except for what is said."""
    stderr = {"stderr": 0.008, "n": 3270}
    return find(published, model, percent, task, metric) | stderr | {"record": "individual_files/x.json"} | changes


def test_published_rows_have_all_columns_and_one_headline_per_task(published):
    assert all(tuple(row) == COLUMNS for row in published)
    assert len(published) == 352  # 442 rows less 90 standard errors
    assert Counter(row["model"] for row in published if row["is_headline"]) == {
        "llama1b": 91,
        "llama3b": 91,
        "instruct1b": 28,
    }
    assert {row["record"] for row in published} == {ACCURACY_TABLE}


def test_the_published_headline_metrics_are_the_studys(published):
    for row in published:
        metric = STUDY.tasks[row["subject"]].metric
        assert row["is_headline"] == ((row["metric"], row["filter"]) == (metric.name, metric.filter))


def test_published_rows_hold_the_tables_figures(published):
    row = find(published, "llama1b", 40, "mmlu")
    assert (row["value"], row["baseline"], row["chance"]) == (0.2689, 0.3111, 0.25)
    assert row["delta"] == pytest.approx(-0.0422)
    assert row["relative_delta"] == pytest.approx(-0.0422 / 0.3111)
    assert (row["width"], row["expansion_ratio"], row["parameters"]) == (4916, 2.400391, 913770496)
    assert (row["case"], row["method"], row["suites"]) == ("llama1b-p40-mmlu", "PPM", "paper")
    assert find(published, "llama1b", 0, "gsm8k")["stderr"] == 0.0068
    assert find(published, "llama1b", 0, "gsm8k")["filter"] == "flexible-extract"
    assert find(published, "llama3b", 0, "wikitext")["higher_is_better"] is False
    assert find(published, "instruct1b", 60, "ifeval")["suites"] == "instruct"


def test_published_rows_make_tables(published):
    tables = {table.model: table for table in headline_tables(published)}
    assert set(tables) == {"llama1b", "llama3b", "instruct1b"}
    assert len(tables["llama1b"].levels) == 7
    assert len(tables["instruct1b"].levels) == 4


def test_a_difference_within_its_error(published):
    value = find(published, "llama1b", 40, "boolq")["value"]
    (found,) = beside([own(published, value=value + 0.02)])
    error = math.hypot(0.008, math.sqrt(value * (1 - value) / 3270))
    assert found == Beside(
        model="llama1b",
        percent=40,
        expansion_ratio=2.400391,
        task="boolq",
        metric="acc",
        own=value + 0.02,
        published=value,
        difference=pytest.approx(0.02),
        stderr=pytest.approx(error),
        within_error=True,
        note="published standard error assumed binomial with n = 3270",
    )
    assert error == pytest.approx(0.0117, abs=1e-4)
    (far,) = beside([own(published, value=value - 0.03)])
    assert far.within_error is False


def test_printed_standard_errors_are_used(published):
    (found,) = beside([own(published, percent=0, task="gsm8k", stderr=0.006)])
    assert (found.metric, found.note) == ("exact_match,flexible-extract", "")
    assert found.stderr == pytest.approx(math.hypot(0.006, 0.0068))


@pytest.mark.parametrize(
    ("task", "metric"), [("wikitext", None), ("truthfulqa_mc2", None), ("wikitext", "bits_per_byte")]
)
def test_unknown_errors_stay_unknown(published, task, metric):
    (found,) = beside([own(published, task=task, metric=metric)])
    assert (found.stderr, found.within_error) == (None, None)
    assert found.note == "the published standard error is not known"


def test_limits_truncation_and_other_widths_are_noted(published):
    (found,) = beside([own(published, limit=50, truncated_prompts=3, width=4096, expansion_ratio=2.0)])
    assert found.note == (
        "the published standard error is not known, and the number of items differs; "
        "own score of only 50 samples per task; 3 own prompts lost their beginning; "
        "other widths: 4096 here, 4916 published (2.0x here, 2.4x published)"
    )
    assert found.within_error is None


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "VOW"},
        {"divisor": 64},
        {"model": "nano"},
        {"task": "boolq_part"},
        {"metric": "mcc"},
        {"kind": "energy"},
        {"value": None},
        {"percent": 45},
    ],
)
def test_what_was_not_published_has_nothing_beside_it(published, changes):
    assert beside([own(published) | changes]) == []


def test_all_published_scores_stand_beside_themselves(published):
    found = beside(published)
    assert len(found) == 352
    assert {row.difference for row in found} == {0}


def test_only_what_was_prompted_alike_is_compared_and_the_rest_is_named(published):
    plain = own(published, "instruct1b", 40, "ifeval")
    chat = plain | {"subject": "ifeval_chat", "prompt_format": "chat"}
    shots = own(published, task="gsm8k") | {"num_fewshot": 0}
    assert [item.task for item in beside([plain, chat, shots])] == ["ifeval"]
    assert unlike([plain, chat, chat | {"percent": 60}, shots]) == [
        "instruct1b: ifeval_chat is not compared: chat prompts with 0 examples, the published ifeval has plain prompts "
        "with 0 examples",
        "llama1b: gsm8k is not compared: plain prompts with 0 examples, the published gsm8k has plain prompts with 5 "
        "examples",
    ]


def test_a_level_that_has_collapsed_is_named_and_not_compared(published):
    found = own(published, task="wikitext", metric="word_perplexity")
    collapsed = found | {"value": None, "is_collapsed": True, "log_value": 921.0}
    assert beside([collapsed]) == []
    assert unlike([found, collapsed]) == [
        f"llama1b: wikitext is not compared: at p{found['percent']} it has collapsed (above 1e60, or infinite), the "
        f"published word_perplexity is {find(published, 'llama1b', found['percent'], 'wikitext')['value']:.4g}"
    ]


def test_the_published_prompts_were_plain(published):
    assert {row["prompt_format"] for row in published} == {"plain"}
    assert {row["num_fewshot"] for row in published if row["subject"] in ("mmlu", "gsm8k")} == {5}


def test_another_model_under_a_published_key_is_not_compared(published):
    """Llama-3.2-3B has the same widths as 1B, and other hidden sizes."""
    other = own(published, percent=0) | {"expansion_ratio": 8192 / 3072}
    assert beside([other]) == []
    assert unlike([other]) == [
        "llama1b: boolq is not compared: the model differs: hidden size 3072, the published one has 2048"
    ]


def test_weights_from_elsewhere_are_compared_and_named(published):
    (found,) = beside([own(published) | {"measured_as": {"model": "/data/my-llama"}}])
    assert found.note.endswith("own weights from /data/my-llama")
    (same,) = beside([own(published) | {"measured_as": {"model": "meta-llama/Llama-3.2-1B"}}])
    assert "weights from" not in same.note
