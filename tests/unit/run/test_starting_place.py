import itertools

import pytest

from glu_lib.run.starting_place import starting_place
from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases, run_order


def test_a_run_of_its_own_begins_at_the_first_level(tmp_path):
    assert starting_place(tmp_path, {}) == 0.0


def test_tasks_of_a_slurm_array_begin_at_equal_distances(tmp_path):
    places = [
        starting_place(
            tmp_path, {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
        )
        for task in (1, 2, 3, 4)
    ]
    assert places == [0.0, 0.25, 0.5, 0.75]


def test_without_a_count_tasks_begin_apart(tmp_path):
    places = sorted(starting_place(tmp_path, {"SLURM_ARRAY_TASK_ID": str(task)}) for task in range(8))
    assert min(later - earlier for earlier, later in itertools.pairwise(places)) > 0.05


@pytest.mark.parametrize("text", ["", "x", "-1", "½"])
def test_what_is_no_number_is_no_task(tmp_path, text):
    assert starting_place(tmp_path, {"SLURM_ARRAY_TASK_ID": text}) == 0.0


def test_beside_other_runs_a_process_begins_elsewhere_but_not_a_worker(tmp_path, monkeypatch):
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases/nano-p0.level").touch()
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert starting_place(tmp_path, {}) == pytest.approx(0.618, abs=1e-3)
    assert starting_place(tmp_path, {}, is_worker=True) == 0.0


def test_the_order_begins_there_keeps_levels_together_and_loses_none():
    cases = [case for case in build_cases(STUDY) if case.model.key in ("nano", "llama1b")]
    order, turned = run_order(cases, seed=1), run_order(cases, seed=1, start=0.5)
    assert sorted(case.id for case in turned) == sorted(case.id for case in order)
    groups = list(dict.fromkeys(case.group for case in order))
    half = len(groups) // 2
    assert list(dict.fromkeys(case.group for case in turned)) == groups[half:] + groups[:half]
    assert sum(one.group != other.group for one, other in itertools.pairwise(turned)) == len(groups) - 1
