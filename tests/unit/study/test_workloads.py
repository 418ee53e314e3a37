"""Workloads whose batch grows: their sizes, their place in the study, and mistakes in study files."""

import pytest

from glu_lib.errors import StudyError
from glu_lib.study import STUDY, Saturation, Workload, load_study

SERVING = STUDY.workloads["serving_saturation"]


@pytest.mark.parametrize(
    ("max_batch", "limit", "sizes"),
    [
        (1, None, (1,)),
        (8, None, (1, 2, 4, 8)),
        (12, None, (1, 2, 4, 8)),
        (64, 8, (1, 2, 4, 8)),
        (64, 5, (1, 2, 4)),
        (4, 100, (1, 2, 4)),
    ],
)
def test_batches_double_up_to_the_smaller_of_both_limits(max_batch, limit, sizes):
    assert Saturation("x", None, new_tokens=2, max_batch=max_batch).batch_sizes(limit) == sizes


def test_one_size_is_a_workload_of_one_batch():
    found = SERVING.at(4)
    assert (found.num_prompts, found.batch_size, found.new_tokens) == (4, 4, SERVING.new_tokens)
    assert (found.key, found.seeds, found.prompt_tokens) == (SERVING.key, SERVING.seeds, SERVING.prompt_tokens)


def test_prompts_and_answers_fit_the_smallest_context_of_the_study():
    contexts = [model.architecture.max_positions for model in STUDY.models.values() if model.architecture]
    assert SERVING.prompt_tokens + SERVING.new_tokens <= min(contexts)


def read(tmp_path, text):
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    return load_study(tmp_path / "study.toml", STUDY).study


def test_max_batch_makes_the_batch_grow(tmp_path):
    text = (
        '[workloads.mine]\nprompts = "facts"\nnew_tokens = 4\nmax_batch = 16\nleast_gain = 0.1\n[suites]\na = ["mine"]'
    )
    assert read(tmp_path, text).workloads["mine"] == Saturation("mine", "facts", 4, 16, 0.1)


def test_a_field_of_a_built_in_growing_batch_changes(tmp_path):
    found = read(tmp_path, "[workloads.serving_saturation]\nmax_batch = 4").workloads["serving_saturation"]
    assert (found.max_batch, found.new_tokens) == (4, SERVING.new_tokens)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch = 4\nprompt_tokens = 8", "lacks new_tokens; a new workload needs new_tokens, max_batch"),
        ("max_batch = 4\nnew_tokens = 8", "lacks prompts; name a task"),
        (
            "max_batch = 4\nnew_tokens = 8\nprompt_tokens = 8\nbatch_size = 2",
            "batch_size does not go with a batch that doubles; leave it out, or choose another key",
        ),
        ("max_batch = 0\nnew_tokens = 8\nprompt_tokens = 8", "max_batch 0 must be 1 or more"),
        ("max_batch = 4\nnew_tokens = 8\nprompt_tokens = 8\nleast_gain = 1.5", "least_gain 1.5 is a share"),
        ("new_tokens = 8\nprompt_tokens = 8\nleast_gain = 0.1", "least_gain does not go with one batch size"),
    ],
)
def test_each_mistake_is_one_line(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        read(tmp_path, f"[workloads.mine]\n{text}\n[suites]\na = ['mine']")


def test_a_workload_of_one_size_does_not_grow(tmp_path):
    assert isinstance(STUDY.workloads["decode_b1"], Workload)
    with pytest.raises(StudyError, match="max_batch does not go with one batch size"):
        read(tmp_path, "[workloads.decode_b1]\nmax_batch = 4")
