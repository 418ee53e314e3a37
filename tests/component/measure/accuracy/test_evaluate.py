import dataclasses

import pytest

from glu_lib.errors import AccessError, MeasurementError
from glu_lib.machine.environment import Environment, detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.accuracy.results import MetricValue
from glu_lib.measure.accuracy.sample_checks import count_ties
from glu_lib.measure.accuracy.score_case import check_evaluation, task_fields
from glu_lib.measure.controls.scored import Scored
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.tasks.task_library import TaskLibrary, task_data_digest
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Attention, Settings
from glu_lib.study.tasks import Metric

NANO = STUDY.models["nano"]
EMBEDDED = [task for task in STUDY.tasks.values() if task.embedded]


@pytest.fixture(scope="module")
def library() -> TaskLibrary:
    return TaskLibrary()


@pytest.fixture(scope="module")
def lm():
    environment: Environment = detect_environment(Settings(device="cpu"))
    loaded = load_model(NANO, resolve_identity(NANO), environment)
    return wrap_model(loaded.model, loaded.tokenizer, batch_size=8)


def evaluate(lm, library, task, limit=6):
    return evaluate_task(lm, library, task, seed=1234, limit=limit)


@pytest.mark.parametrize("task", EMBEDDED, ids=lambda task: task.key)
def test_each_embedded_task_gives_its_headline_and_all_its_samples(lm, library, task):
    found = evaluate(lm, library, task)
    check_evaluation(task, found, 6)
    assert (found.headline.metric, found.headline.count) == (task.metric.name, 6)
    assert (found.count, found.expected) == (6, 6)
    assert found.task_versions == {task.lm_eval_name: "1.0"}
    fields = task_fields(task, found)
    assert fields["headline"]["label"] == task.metric.label
    assert {sample["doc_id"] for sample in found.samples} == set(range(6))


def test_a_result_does_not_depend_on_what_ran_before(lm, library):
    first = evaluate(lm, library, STUDY.tasks["lastword"])
    evaluate(lm, library, STUDY.tasks["sums"])
    assert evaluate(lm, library, STUDY.tasks["lastword"]) == first


def test_the_scores_are_those_of_lm_evals_own_entry_point(lm, library):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from glu_lib.nano import TASKS_DIR

    manager = TaskManager(include_path=str(TASKS_DIR), include_defaults=False)
    own = simple_evaluate(lm, tasks=["nano_facts", "nano_narrative"], task_manager=manager, limit=6, bootstrap_iters=0)
    assert evaluate(lm, library, STUDY.tasks["facts"]).headline.value == own["results"]["nano_facts"]["acc,none"]
    perplexity = own["results"]["nano_narrative"]["word_perplexity,none"]
    assert evaluate(lm, library, STUDY.tasks["narrative"]).headline.value == perplexity


@pytest.mark.parametrize("task", EMBEDDED, ids=lambda task: task.key)
def test_levels_share_the_blind_answers_that_no_model_gives(lm, library, monkeypatch, task):
    """They are the same as when computed anew; those of generated answers depend on the model's own."""
    calls = []
    value = Scored.value
    monkeypatch.setattr(Scored, "value", lambda self, *given: calls.append(given) or value(self, *given))
    monkeypatch.setattr(lm, "encodings", Encodings())
    first, computed = evaluate(lm, library, task), len(calls)
    assert evaluate(lm, library, task) == first
    is_kept = bool(lm.encodings.controls)
    assert is_kept == all("shuffle" not in sample.get("controls", {}) for sample in first.samples)
    assert len(calls) == (computed if is_kept else 2 * computed)
    evaluate(lm, library, task, limit=5)  # other requests
    assert len(lm.encodings.controls) == 2 * is_kept


def test_a_metric_that_the_task_does_not_report_is_named(lm, library):
    task = dataclasses.replace(STUDY.tasks["facts"], metric=Metric("acc_norm"))
    with pytest.raises(MeasurementError, match="task facts: lm-eval does not report acc_norm, only acc,none; correct"):
        evaluate(lm, library, task)


def test_a_task_that_cannot_be_loaded_is_one_line(monkeypatch):
    def refuse(*_arguments):
        raise KeyError("no connection\nto the hub")

    monkeypatch.setattr("lm_eval.tasks.TaskManager.load", refuse)
    with pytest.raises(AccessError) as caught:
        TaskLibrary().load(STUDY.tasks["facts"], seed=0)
    assert str(caught.value).startswith("task facts: its data cannot be loaded (KeyError")
    assert "\n" not in str(caught.value)


def test_the_digest_of_an_embedded_task_covers_its_items():
    assert task_data_digest(STUDY.tasks["facts"]) != task_data_digest(STUDY.tasks["sums"])
    assert task_data_digest(STUDY.tasks["piqa"]) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 5}, "task facts: 5 of 6 samples were scored"),
        ({"count": 0, "expected": 0}, "task facts: 0 of 0 samples were scored"),
        ({"count": 12, "expected": 12}, "12 samples were scored, more than its limit 6;"),
        (
            {"headline": MetricValue("nano_facts", "acc", "none", float("nan"), None, 6)},
            "acc is nan; lm-eval's aggregate of these samples is not finite; score more samples, or choose another",
        ),
    ],
)
def test_an_incomplete_or_infinite_measurement_is_refused(lm, library, changes, message):
    found = dataclasses.replace(evaluate(lm, library, STUDY.tasks["facts"]), **changes)
    with pytest.raises(MeasurementError, match=message):
        check_evaluation(STUDY.tasks["facts"], found, 6)


def test_numbers_that_are_not_finite_become_null():
    value = MetricValue("t", "perplexity", "none", float("inf"), float("nan"), 3)
    found = dataclasses.replace(
        EVALUATION, metrics=(value,), headline=dataclasses.replace(value, value=2.0, stderr=None)
    )
    assert task_fields(STUDY.tasks["lastword"], found)["metrics"][0]["value"] is None


def test_groups_and_their_parts_are_all_kept():
    from glu_lib.measure.accuracy.results import metric_values

    results = {
        "results": {
            "mmlu": {"acc,none": 0.4, "acc_stderr,none": 0.01, "alias": "mmlu"},
            "mmlu_law": {"acc,none": 0.3, "acc_stderr,none": "N/A", "alias": " - law"},
            "mmlu_art": {"acc,none": 0.5, "acc_stderr,none": 0.02, "alias": " - art"},
        },
        "groups": {"mmlu": {"acc,none": 0.4, "acc_stderr,none": 0.01}},
        "group_subtasks": {"mmlu": ["mmlu_law", "mmlu_art"]},
        "n-samples": {"mmlu_law": {"original": 9, "effective": 4}, "mmlu_art": {"original": 9, "effective": 6}},
    }
    found = {value.task: value for value in metric_values(results)}
    assert (found["mmlu"].value, found["mmlu"].count) == (0.4, 10)
    assert (found["mmlu_law"].stderr, found["mmlu_art"].stderr) == (None, 0.02)


def _evaluation():
    from glu_lib.measure.accuracy.results import Evaluation

    value = MetricValue("t", "acc", "none", 1.0, None, 1)
    return Evaluation(value, (value,), (), 1, 1, 0, {}, {"t": "1"}, 0, 0, 0, 0, 8, Attention.PLAIN, None, {}, {})


EVALUATION = _evaluation()


def test_items_whose_best_options_tie_are_counted():
    def sample(number, *logprobs):
        return {"doc_id": number, "filtered_resps": [(logprob, False) for logprob in logprobs]}

    found = {"a": [sample(0, -1.0, -1.0, -2.0), sample(1, -1.0, -2.0, -2.0)], "b": [sample(0, -3.0, -3.0)]}
    assert count_ties(found) == 2
    assert count_ties({"generated": [{"doc_id": 0, "filtered_resps": ["x", "x"]}], "last": [sample(0, -1.0)]}) == 0
