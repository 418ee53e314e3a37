import json
from pathlib import Path

import numpy as np
import pytest
from made_records import made_record

from glu_lib.analysis.aggregation import Aggregation
from glu_lib.analysis.items import read_items, weighed_alike
from glu_lib.analysis.pairing import pair
from glu_lib.errors import RecordError
from glu_lib.results.record import read_scored
from glu_lib.results.store import Store

NANO = Path(__file__).parents[3] / "results/measured/nano"
TASKS = ("facts", "sums", "instructions", "commonsense", "truth", "lastword", "narrative")


def committed(task, percent=40):
    record = read_scored(NANO / f"individual_files/nano/p{percent}/nano-p{percent}-{task}.json")
    return record, Store(NANO).read_samples(record.samples)


def made(values, metric="acc", value=None, *, tasks=None, filters=("none",), case="m-p40-t"):
    """A record and its samples: one value per document, of one task or of the tasks named."""
    samples = [
        {"task": task, "doc_id": number, "filter": name, metric: found, "doc_hash": f"hash{number}"}
        for name in filters
        for number, (found, task) in enumerate(zip(values, tasks or ["t"] * len(values), strict=True))
    ]
    named = {"task": "t", "metric": metric, "filter": filters[0]}
    score = {"headline": named | {"label": metric, "value": value}, "metrics": [named]}
    return made_record({"case": {"id": case}, "score": score, "samples": {"count": len(samples)}}), samples


def score(*arguments, **options):
    found = read_items(*made(*arguments, **options))
    return found.aggregation, float(pair([found]).scores[0])


@pytest.mark.parametrize("task", TASKS)
def test_items_give_the_recorded_value(task):
    record, samples = committed(task)
    # another order of summation than lm-eval's
    assert pair([read_items(record, samples)]).scores[0] == pytest.approx(record.score.headline.value, abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_pairs_hold_every_item_of_both_levels(task):
    pairs = pair([read_items(*committed(task, 0)), read_items(*committed(task))])
    assert pairs.cases == (f"nano-p0-{task}", f"nano-p40-{task}")
    assert pairs.terms.shape == (2, 200 if task == "narrative" else 500, 2)
    assert pairs.is_binary == (task != "narrative")
    assert not pairs.is_group


@pytest.mark.parametrize(
    ("metric", "values", "aggregation"),
    [
        ("acc", [1.0, 0.0, 1, 1.0, 0.25], "mean"),
        ("prompt_level_strict_acc", [True, False, True], "mean"),
        ("perplexity", [-1.5, -0.25, -3.0], "perplexity"),
        ("word_perplexity", [(-10.5, 3), (-20.25, 9)], "weighted_perplexity"),
        ("byte_perplexity", [(-10.5, 30), (-20.25, 45)], "weighted_perplexity"),
        ("bits_per_byte", [(-10.5, 30), (-20.25, 45)], "bits_per_byte"),
        ("mcc", [(0, 0), (1, 1), (1, 0), (1, 1), (0, 1)], "matthews_corrcoef"),
        ("f1", [(0, 0), (1, 1), (1, 0), (1, 1), (0, 1)], "f1"),
    ],
)
def test_aggregations_are_lm_evals(metric, values, aggregation):
    from lm_eval.api.registry import get_aggregation

    expected = get_aggregation(aggregation)(values)
    stored = json.loads(json.dumps(values))
    assert score(stored, metric, expected)[1] == pytest.approx(expected, rel=1e-12)


def test_instruction_level_accuracy_pools_the_instructions_as_ifeval_does():
    values = [[True, False, True], [False], [True, True]]
    assert score(values, "inst_level_strict_acc", 4 / 6) == (Aggregation.RATIO, 4 / 6)


def test_two_flags_of_an_instruction_are_no_label_pair():
    assert score([[True, False], [True, True]], "inst_level_loose_acc", 0.75) == (Aggregation.RATIO, 0.75)


def test_a_group_is_weighted_by_size_as_lm_eval_does():
    from lm_eval.api.metrics import aggregate_subtask_metrics

    values, tasks = [1.0, 0.0, 1.0, 1.0, 0.0], ["a", "b", "b", "b", "b"]
    expected = aggregate_subtask_metrics([1.0, 0.5], [1, 4])
    assert score(values, value=expected, tasks=tasks)[1] == pytest.approx(expected)
    unweighted = aggregate_subtask_metrics([1.0, 0.5], [1, 4], weight_by_size=False)
    assert unweighted != expected
    assert score(values, value=unweighted, tasks=tasks)[1] == pytest.approx(unweighted)


def test_a_level_whose_parts_are_equal_takes_the_weights_of_one_that_tells():
    tasks = ["a", "b", "b", "b", "b"]
    perfect = read_items(*made([1.0] * 5, value=1.0, tasks=tasks))
    pruned = read_items(*made([0.0, 1.0, 1.0, 1.0, 1.0], value=0.5, tasks=tasks))  # the mean of its parts
    assert (perfect.is_weighing_certain, pruned.is_weighing_certain) == (False, True)
    assert pair(weighed_alike([perfect, pruned])).scores.tolist() == [1.0, 0.5]


def test_a_groups_perplexity_is_the_mean_of_its_parts():
    values, tasks = [-1.0, -2.0, -4.0], ["a", "a", "b"]
    expected = (2 * np.exp(1.5) + np.exp(4.0)) / 3
    assert score(values, "perplexity", expected, tasks=tasks)[1] == pytest.approx(expected)


def test_only_the_headlines_filter_counts():
    record, samples = made([1.0, 0.0], "exact_match", 0.5, filters=("flexible-extract", "strict-match"))
    assert {key[2] for key in read_items(record, samples).keys} == {"flexible-extract"}


def test_the_order_of_samples_does_not_matter():
    record, samples = made([1.0, 0.0, 0.0], value=1 / 3)
    turned = read_items(record, samples[::-1])
    assert pair([read_items(record, samples), turned]).terms[:, :, 0].tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, s: s.pop(), r"m-p40-t: 2 samples, the record says 3; run the case again"),
        (lambda r, s: s[1].update(doc_id=0), r"m-p40-t: a sample occurs twice; run the case again"),
        (lambda r, s: [x.pop("acc") for x in s], r"m-p40-t: its samples lack acc; run the case again"),
        (lambda r, s: s[0].update(acc="yes"), r"m-p40-t: acc has items such as 'yes', which cannot be paired; .*"),
        (lambda r, s: s[0].update(acc=[1, 2, 3]), r"m-p40-t: acc has items such as \[1, 2, 3\], which .*"),
        (lambda r, s: s[0].update(acc=0.5), r"m-p40-t: its items give 0.166667, the record says 0.333333; .*"),
    ],
)
def test_samples_that_do_not_fit_their_record_are_refused(change, message):
    record, samples = made([1.0, 0.0, 0.0], value=1 / 3)
    change(record, samples)
    with pytest.raises(RecordError, match=f"^{message}$"):
        read_items(record, samples)


def test_labels_of_more_than_two_classes_are_refused():
    with pytest.raises(RecordError, match=r"mcc has items such as \[0, 2\], which cannot be paired"):
        read_items(*made([[0, 2], [1, 1]], "mcc", 0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doc_hash": "other"}, "m-p40-t: 1 documents differ from those of m-p0-t; a comparison needs the same items"),
        ({"doc_id": 7}, "m-p40-t: 2 items are not in both it and m-p0-t; a comparison needs the same items"),
    ],
)
def test_other_items_than_the_baselines_are_refused(change, message):
    record, samples = made([1.0, 0.0], value=0.5, case="m-p0-t")
    other, changed = made([1.0, 0.0], value=0.5)
    changed[1].update(change)
    with pytest.raises(RecordError, match=message):
        pair([read_items(record, samples), read_items(other, changed)])


def test_another_metric_than_the_baselines_is_refused():
    found = [read_items(*made([1.0, 0.0], "acc", 0.5)), read_items(*made([1.0, 0.0], "acc_norm", 0.5))]
    with pytest.raises(RecordError, match="metric acc_norm, m-p40-t has acc"):
        pair(found)
