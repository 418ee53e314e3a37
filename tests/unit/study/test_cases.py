from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from glu_lib.study import STUDY, Control
from glu_lib.study.cases import Case, CaseKind, build_cases, run_order
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning

CASES = build_cases(STUDY)
BASE = ("llama1b", "llama3b", "smol135m", "smol360m", "smol1700m")
INSTRUCT = ("instruct1b", "instruct3b", "smolinstruct135m", "smolinstruct360m", "smolinstruct1700m")


def test_the_built_in_study_has_these_cases():
    assert Counter((case.model.key, case.kind.value) for case in CASES) == {
        ("nano", "accuracy"): 49,
        ("nano", "energy"): 42,
        ("nano", "architecture"): 7,
        **{(key, "accuracy"): 182 for key in (*BASE, *INSTRUCT)},
        **{(key, "energy"): 42 for key in INSTRUCT},
        **{(key, "energy"): 42 + 4 * 13 for key in BASE},  # p0 and six levels, plain and aligned
        **{(key, "architecture"): 7 for key in (*BASE, *INSTRUCT)},
        **{(key, "serving"): 7 for key in STUDY.models},
        **{(key, "layers"): 4 for key in STUDY.models},  # PPM and three seeds of random
    }


def test_ids_are_unique():
    assert len({case.id for case in CASES}) == len(CASES)


def test_cases_of_one_level_stand_together():
    groups = [case.group for case in CASES]
    changes = sum(before != after for before, after in pairwise(groups))
    assert changes + 1 == len(set(groups)) == 7 * (1 + len(BASE) + len(INSTRUCT)) + len(BASE) * 6


@pytest.mark.parametrize("key", STUDY.models)
def test_a_models_key_selects_only_its_own_cases(key):
    """Pytest's -k matches substrings: `-k llama1b` must never select an instruct variant."""
    assert {case.model.key for case in CASES if key in case.id} == {key}


@pytest.mark.parametrize("percent", [0, 10, 20, 30, 40, 50, 60])
def test_a_levels_key_selects_only_its_own_cases(percent):
    assert {case.pruning.percent for case in CASES if f"p{percent}" in case.id} == {percent}


def test_methods_and_divisors_stand_in_the_id_and_share_one_baseline():
    methods = [Selection(), *Selection.parse("random")]
    cases = build_cases(STUDY, methods, [None, 128])
    levels = {case.pruning.key for case in cases if case.model.key == "llama1b"}
    assert levels >= {"p0", "p40", "p40d128", "p40-random1", "p40-random3", "p40d128-random2"}
    assert [level for level in levels if level.startswith("p0")] == ["p0"]


def test_star_marks_the_levels_at_an_expansion_ratio_of_2_4():
    starred = {case.group for case in CASES if "star" in case.marks}
    four, two_thirds = {"nano", "llama1b", "instruct1b", "smol1700m", "smolinstruct1700m"}, {*BASE, *INSTRUCT}
    ratios = {f"{key}-p40" for key in four} | {f"{key}-p10" for key in two_thirds - four}
    aligned = {f"{key}-p{40 if key in four else 10}d128" for key in BASE}
    assert starred == ratios | aligned - {"smol135m-p10d128"}  # 1408 / 576 = 2.44, beyond the tolerance


def test_suites_are_marks_and_gpu_and_slow_are_derived():
    marks = {case.id: set(case.marks) for case in CASES}
    assert marks["nano-p10-facts"] == {"embedded"}
    assert marks["llama1b-p10-mmlu"] == {"paper", "core", "gpu", "slow"}
    assert marks["instruct1b-p10-ifeval"] == {"instruct", "core", "gpu", "slow"}
    assert marks["nano-p10-facts_latency_b1"] == {"carbon"}


def test_base_variants_have_no_core_ifeval_beyond_the_papers():
    core = {case.subject_key for case in CASES if case.model.key == "llama1b" and "core" in case.suites}
    assert "ifeval" not in core
    assert len([key for key in core if key != "architecture"]) == 17


def test_the_kind_follows_from_the_subject():
    model = STUDY.models["nano"]
    assert Case(model, Pruning(0), STUDY.tasks["facts"]).kind is CaseKind.ACCURACY
    assert Case(model, Pruning(0), STUDY.workloads["facts_latency_b1"]).kind is CaseKind.ENERGY
    assert Case(model, Pruning(0), "architecture").kind is CaseKind.ARCHITECTURE


def test_a_suite_with_divisors_has_each_level_plain_and_rounded_whatever_the_run_asks():
    for divisors in ([None], [64]):
        cases = [case for case in build_cases(STUDY, divisors=divisors) if "alignment" in case.suites]
        levels = {case.pruning.key for case in cases if case.model.key == "llama1b"}
        assert levels == {"p0", *(f"p{p}{d}" for p in (10, 20, 30, 40, 50, 60) for d in ("", "d128"))}
        assert {case.subject_key for case in cases} == {"prefill_b1", "prefill_b8", "decode_b1", "decode_b8"}


def test_levels_run_in_declared_order_without_energy_and_in_drawn_order_with_it():
    accuracy = [case for case in CASES if case.kind is CaseKind.ACCURACY]
    assert run_order(accuracy, seed=1) == accuracy
    energy = [case for case in CASES if case.kind is CaseKind.ENERGY]
    drawn = run_order(energy, seed=1)
    assert drawn != energy
    assert drawn == run_order(energy, seed=1) != run_order(energy, seed=2)
    assert sorted(case.id for case in drawn) == sorted(case.id for case in energy)
    assert len(set(groups := [case.group for case in drawn])) == 1 + sum(a != b for a, b in pairwise(groups))
    assert list(dict.fromkeys(case.model.key for case in drawn)) == list(STUDY.models)


WITH_CONTROLS = build_cases(replace(STUDY, has_controls=True))


def test_controls_come_on_request_and_change_no_other_case():
    assert not any(case.pruning.control for case in CASES)
    assert [case for case in WITH_CONTROLS if case.pruning.control is None] == CASES


def test_a_control_has_the_tasks_of_its_model_with_their_marks_and_nothing_else():
    found = {case.id: case for case in WITH_CONTROLS if case.pruning.control}
    assert [key for key in found if key.startswith("nano")] == [
        f"nano-{control}-{case.subject_key}"
        for control in ("nomlp", "untrained")
        for case in CASES
        if case.group == "nano-p0" and case.kind is CaseKind.ACCURACY
    ]
    assert {case.kind for case in found.values()} == {CaseKind.ACCURACY}
    assert len(found) == 2 * sum(case.pruning.percent == 0 and case.kind is CaseKind.ACCURACY for case in CASES)
    assert set(found["llama1b-untrained-mmlu"].marks) == {"paper", "core", "gpu", "slow"}


def test_a_control_is_no_star_even_at_that_ratio():
    shape = replace(STUDY.models["nano"].architecture, intermediate_size=308)
    model = replace(STUDY.models["nano"], architecture=shape)
    facts = STUDY.tasks["facts"]
    assert "star" in Case(model, Pruning(0), facts).marks
    assert "star" not in Case(model, Pruning.of(Control.UNTRAINED), facts).marks


@pytest.mark.parametrize("word", [*Control, *(f"p{percent}" for percent in (0, 10, 60))])
def test_a_controls_key_selects_only_its_own_cases(word):
    def is_meant(case):
        found = case.pruning
        return (found.control or f"p{found.percent}") == word

    selected = [case for case in WITH_CONTROLS if word in case.id]
    assert selected == [case for case in WITH_CONTROLS if is_meant(case)]


def test_each_control_is_one_group_for_a_model_that_is_loaded_once():
    groups = [case.group for case in run_order(WITH_CONTROLS, seed=1)]
    assert sum(before != after for before, after in pairwise(groups)) + 1 == len(set(groups))
