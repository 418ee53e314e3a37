from glu_lib.cluster.turns import Turns, groups_of
from glu_lib.study import STUDY
from glu_lib.study.cases import CaseKind, build_cases

CASES = [
    case
    for case in build_cases(STUDY)
    if case.model.key in ("nano", "llama1b") and case.kind is CaseKind.ACCURACY and case.pruning.percent in (0, 40)
]


def turns():
    return Turns(groups_of(CASES))


def test_groups_are_the_levels_with_all_their_cases():
    groups = groups_of(CASES)
    assert [group.key for group in groups] == ["llama1b-p0", "llama1b-p40", "nano-p0", "nano-p40"] or {
        group.key for group in groups
    } == {"llama1b-p0", "llama1b-p40", "nano-p0", "nano-p40"}
    assert sum(len(group.cases) for group in groups) == len(CASES)


def test_a_models_levels_stay_on_one_kind_of_gpu():
    found = turns()
    first = found.take("H100", 0.0)
    other = found.take("T4", 0.0)
    assert other.model != first.model
    assert found.take("H100", 0.0).model == first.model
    assert found.take("H100", 0.0) is None  # what is left is bound to the other kind
    assert found.take("T4", 0.0).model == other.model


def test_a_group_that_is_put_back_is_next_or_comes_last_and_not_before_its_time():
    found = turns()
    first = found.take(None, 0.0)
    found.put_back(first)
    assert found.take(None, 0.0) is first
    found.put_back(first, at_s=5.0)
    rest = [found.take(None, 0.0) for _ in range(3)]
    assert first not in rest
    assert found.take(None, 4.9) is None
    assert found.take(None, 5.0) is first


def test_groups_of_a_kind_without_workers_are_out_of_reach():
    found = turns()
    first = found.take("H100", 0.0)
    assert found.out_of_reach(["H100", "T4"]) == []
    lost = found.out_of_reach(["T4"])
    assert {group.model for group in lost} == {first.model}
    assert {group.model for group in found.waiting} == {"nano", "llama1b"} - {first.model}
    assert len(found.out_of_reach([])) == 2
    assert not found.waiting
