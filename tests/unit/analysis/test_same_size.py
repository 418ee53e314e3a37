"""Models of about the same size: which levels are paired, what is refused, and the test on the same items."""

import pytest
from two_models import two_models

from glu_lib.analysis import conclude
from glu_lib.analysis.size_pairs import by_items, same_size_pairs, unlike_settings


def row(model, percent, parameters, **changed):
    return {
        "kind": "accuracy",
        "is_headline": True,
        "control": None,
        "weights": "real",
        "model": model,
        "percent": percent,
        "method": "PPM" if percent else None,
        "divisor": None,
        "layers": None,
        "limit": None,
        "subset": None,
        "subject": "t",
        "metric": "acc",
        "filter": "none",
        "num_fewshot": 0,
        "prompt_format": "plain",
        "task_limit": None,
        "window_tokens": None,
        "value": 0.5,
        "parameters": parameters,
        "case": f"{model}-p{percent}-t",
        "record": f"{model}-p{percent}-{changed}",
    } | changed


def paired(*rows):
    return [
        tuple(f"{found['model']} p{found['percent']}" for found in both)
        for mine in by_items(rows).values()
        for both in same_size_pairs(mine)
    ]


def test_a_pruned_level_stands_beside_the_nearest_level_of_the_other_model():
    large = [row("large", 0, 3000), row("large", 40, 1100), row("large", 60, 800)]
    small = [row("small", 0, 1000), row("small", 10, 900)]
    # 1100 and 1000: 10 %; 900 and 800: 12.5 %, which is each other's nearest and one pair; 3000 is near nothing.
    assert paired(*large, *small) == [("large p40", "small p0"), ("large p60", "small p10")]


@pytest.mark.parametrize(("parameters", "pairs"), [(1150, 1), (1151, 0)])
def test_the_larger_model_has_at_most_15_per_cent_more(parameters, pairs):
    assert len(paired(row("large", 40, parameters), row("small", 0, 1000))) == pairs


@pytest.mark.parametrize(
    "changed", [{"limit": 8}, {"subset": "spread"}, {"subject": "other"}, {"control": "no MLP"}, {"weights": "random"}]
)
def test_other_items_controls_and_random_weights_stand_beside_nothing(changed):
    assert paired(row("large", 40, 1000), row("small", 0, 1000)) == [("large p40", "small p0")]
    assert paired(row("large", 40, 1000), row("small", 0, 1000, **changed)) == []


def test_other_methods_are_compared_with_unpruned_models_and_with_their_own_kind():
    rows = [row("large", 40, 1000, method="L2"), row("small", 10, 1000), row("small", 0, 1090)]
    assert paired(*rows) == [("large p40", "small p0")]
    assert paired(*rows, row("small", 10, 1001, method="L2")) == [
        ("large p40", "small p10"),
    ]
    assert paired(row("large", 40, 1000, method="random1"), row("small", 0, 1000)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_fewshot": 5}, "few-shot 0, small-p0-t has 5"),
        ({"prompt_format": "chat"}, "prompt format plain, small-p0-t has chat"),
        ({"task_limit": 50}, "task limit None, small-p0-t has 50"),
        ({"metric": "acc_norm"}, "metric acc, small-p0-t has acc_norm"),
        ({"measured_as": {"seed": 7}}, "seed None, small-p0-t has 7"),
    ],
)
def test_other_settings_are_refused_in_one_line(changed, said):
    assert unlike_settings(row("large", 40, 1000), row("small", 0, 1000)) == ""
    found = unlike_settings(row("large", 40, 1000), row("small", 0, 1000, **changed))
    assert found == f"large-p40-t: {said}; run both with the same settings"


def test_perplexities_per_token_are_refused():
    found = unlike_settings(row("large", 40, 1000, window_tokens=2048), row("small", 0, 1000, window_tokens=2048))
    assert "a perplexity per token is one of its own tokenizer and windows" in found


@pytest.fixture(scope="module")
def concluded(tmp_path_factory):
    """nano at p40 to p60, and its p50 as the unpruned model `small`."""
    root = two_models(tmp_path_factory.mktemp("two"), ("facts", "narrative"), ("p0", "p40", "p50", "p60"), small="p50")
    return root, conclude(root, remember=True)


def test_the_difference_is_tested_on_the_same_items(concluded):
    found = {(item.task, item.percent): item for item in concluded[1].same_size}
    assert set(found) == {(task, percent) for task in ("facts", "narrative") for percent in (40, 50, 60)}
    better, equal, worse = (found["facts", percent] for percent in (40, 50, 60))
    assert (better.model, better.other_model, better.other_percent) == ("nano", "small", 0)
    assert better.delta == pytest.approx(better.value - better.other_value)
    assert better.test == "exact McNemar"
    assert better.pairs == 500
    assert (equal.delta, equal.p, equal.is_better) == (0, 1, None)
    assert better.delta_low < better.delta < better.delta_high
    assert (better.is_better, worse.is_better) == (True, False)
    assert worse.is_significant
    # Six comparisons are one family; the smallest p is multiplied by their number.
    p_values = sorted(item.p for item in found.values())
    assert min(item.p_holm for item in found.values()) == pytest.approx(min(1, 6 * p_values[0]))
    assert found["narrative", 40].is_better  # lower is better
    assert found["narrative", 40].delta < 0


def test_saved_comparisons_are_the_same_and_broken_ones_are_made_again(concluded):
    root, first = concluded
    saved = root / ".significance.json"
    assert conclude(root).same_size == first.same_size
    saved.write_text(saved.read_text().replace('"other_model": "small"', '"other_model": "else"'))
    assert '"else"' in saved.read_text()
    assert conclude(root).same_size == first.same_size


def test_other_few_shot_examples_are_named(tmp_path):
    changes = {"done_key": {"few-shot": 5}, "score": {"num_fewshot": 5}}
    root = two_models(tmp_path, ["facts"], ["p50"], small="p50", changes=changes)
    (found,) = conclude(root).same_size
    assert found.delta is None
    assert found.reason == "nano-p50-facts: few-shot 0, small-p0-facts has 5; run both with the same settings"
