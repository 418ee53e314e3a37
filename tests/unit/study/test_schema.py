import dataclasses

import pytest

from glu_lib.errors import StudyError
from glu_lib.study import STUDY, ModelVariant, Suite, Task, VariantKind, Workload
from glu_lib.study.plain_tables import BENCHMARKS_BASE, BENCHMARKS_CARBON, BENCHMARKS_INSTRUCT, EXPERIMENT_CONFIG
from glu_lib.study.tasks import Metric


@pytest.mark.parametrize("key", ["Nano", "nano-1", "", "na no", "../x", "_x", "x\n", "x" * 61])
def test_keys_must_be_safe_in_ids_and_file_names(key):
    with pytest.raises(StudyError, match="must consist of at most 60 lower-case letters, digits and _"):
        ModelVariant(key, "embedded", VariantKind.BASE, (0,))


@pytest.mark.parametrize("percent", [-1, 96, 100])
def test_levels_must_lie_inside(percent):
    with pytest.raises(StudyError, match=f"level {percent} of model 'x' is outside 0–95 per cent"):
        ModelVariant("x", "embedded", VariantKind.BASE, (0, percent))


def test_a_model_needs_levels():
    with pytest.raises(StudyError, match="model 'x' has no levels; give at least one"):
        ModelVariant("x", "embedded", VariantKind.BASE, ())


def test_counts_must_be_possible():
    with pytest.raises(StudyError, match="task 'x': few-shot count -1 must be 0 or more"):
        Task("x", Metric("acc"), num_fewshot=-1)
    with pytest.raises(StudyError, match="workload 'x': batch_size 0 must be 1 or more"):
        Workload("x", "facts", 1, 1, 0)


def test_a_suite_that_names_something_unknown_is_refused():
    suites = {"quick": Suite("quick", "", models=("nano",), tasks=("nothing",))}
    with pytest.raises(StudyError, match="suite 'quick': task 'nothing' is not in the study; choose one of facts, "):
        dataclasses.replace(STUDY, suites=suites)


def test_a_workload_needs_a_known_task_for_its_prompts():
    workloads = {"x": Workload("x", "nothing", 1, 1, 1)}
    with pytest.raises(StudyError, match="workload 'x': task 'nothing' is not in the study"):
        dataclasses.replace(STUDY, workloads=workloads, suites={})


@pytest.mark.parametrize("kind", ["model", "suite", "workload"])
def test_look_ups_name_the_choices(kind):
    with pytest.raises(StudyError, match=f"{kind} 'llama7b' is not in the study; choose one of "):
        getattr(STUDY, kind)("llama7b")


def test_the_papers_suites_have_their_published_sizes():
    assert [len(BENCHMARKS_BASE), len(BENCHMARKS_INSTRUCT), len(BENCHMARKS_CARBON)] == [13, 7, 12]
    assert {row["name"] for row in BENCHMARKS_BASE if row["num_fewshot"]} == {"mmlu", "gsm8k"}
    assert EXPERIMENT_CONFIG["llama3b"]["expansion_ratio"] == pytest.approx(2.6667, abs=1e-4)


@pytest.mark.parametrize("key", ["piqa", "wiki", "p0", "latency"])
def test_a_model_key_that_selects_more_than_the_model_is_refused(key):
    model = ModelVariant(key, "a/b", VariantKind.BASE, (0,))
    with pytest.raises(StudyError, match=f"model key '{key}' is part of the .* '.*': -k {key} would select both; "):
        dataclasses.replace(STUDY, models={**STUDY.models, key: model})


@pytest.mark.parametrize("change", [{"source": ""}, {"revision": " "}])
def test_a_model_needs_a_source_and_a_revision(change):
    with pytest.raises(StudyError, match="model 'x': (source|revision) is empty; give a (source|revision)"):
        ModelVariant(**{"key": "x", "source": "a/b", "kind": VariantKind.BASE, "levels": (0,), **change})


def test_an_empty_suite_is_refused():
    with pytest.raises(StudyError, match="suite 'quick' is empty; name at least one task or workload"):
        dataclasses.replace(STUDY, suites={"quick": Suite("quick", "", models=("nano",))})
