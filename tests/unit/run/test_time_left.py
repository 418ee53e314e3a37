"""The time that is left, on a run whose cases have very unlike lengths; the seconds are made up."""

import json

import pytest
from made_records import record_values

from glu_lib.frontends.pytest_plugin.progress import left_text
from glu_lib.machine.environment import Environment
from glu_lib.results.store import Store
from glu_lib.run.time_left import Clock, Taken, TimeLeft, parameters_of, recorded_times
from glu_lib.study import STUDY
from glu_lib.study.cases import CaseKind, build_cases
from glu_lib.study.settings import DType

TASKS_S = {"facts": 2.0, "sums": 600.0, "instructions": 45.0, "commonsense": 7.0, "truth": 0.5, "lastword": 90.0}
TASKS_S |= {"narrative": 2400.0}
LOAD_S = 20.0
SPEED = {"p0": 1.0, "p10": 0.94, "p20": 0.88, "p40": 0.75}  # the share of p0's time that a level takes


def cases_of(*levels):
    found = [case for case in build_cases(STUDY) if case.model.key == "nano" and case.kind is CaseKind.ACCURACY]
    return [case for level in levels for case in found if case.pruning.key == level]


def seconds_of(case):
    return TASKS_S[case.subject_key] * SPEED[case.pruning.key]


def machine_named(cpu):
    return Environment("cpu", DType.FLOAT32, 1, None, {}, cpu, cores=2, memory_bytes=1, gpu=None, git_commit=None)


def run(clock, cases, count):
    """Let the first cases take their time; the cases to come, and what they and their levels will take in truth."""
    loaded = set()
    for case in cases[:count]:
        if case.group not in loaded:
            clock.loaded(case, LOAD_S)
        loaded.add(case.group)
        clock.measured(case, seconds_of(case))
    left = cases[count:]
    truth_s = sum(map(seconds_of, left)) + LOAD_S * len({case.group for case in left} - loaded)
    return left, loaded, truth_s


def test_after_one_level_every_estimate_is_near_the_truth():
    cases = cases_of("p0", "p40")
    assert len(cases) == 14
    for count in range(7, 14):
        clock = Clock()
        left, loaded, truth_s = run(clock, cases, count)
        found = clock.left(left, loaded=loaded)
        assert found.unknown == 0
        assert found.seconds == pytest.approx(truth_s, rel=0.3)


def test_a_case_that_goes_on_after_a_pause_does_not_stand_for_the_others():
    cases = [case for case in cases_of("p0", "p10", "p20", "p40") if case.subject_key == "facts"]
    clock = Clock()
    clock.measured(cases[0], seconds_of(cases[0]))
    clock.measured(cases[1], seconds_of(cases[1]))
    clock.measured(cases[2], 3600 + seconds_of(cases[2]))
    assert clock.left(cases[3:], loaded=[cases[3].group]).seconds == pytest.approx(seconds_of(cases[3]), rel=0.3)


def test_a_long_task_does_not_count_like_a_short_one():
    clock = Clock()
    first, *_, last = cases_of("p0", "p40")
    clock.measured(first, seconds_of(first))
    assert clock.left([last]) is None  # nothing is promised for what has not been measured
    assert clock.left([first, last]).unknown == 1


@pytest.mark.parametrize("machine", [1.0, 0.1, 8.0])
def test_the_second_level_is_known_from_the_records_of_the_first(machine):
    clock = Clock(
        {
            ("nano", case.subject_key): Taken(machine * seconds_of(case), parameters_of(case), machine == 1.0)
            for case in cases_of("p0")
        }
    )
    cases = cases_of("p40")
    if machine == 1.0:
        assert clock.left(cases).seconds == pytest.approx(sum(map(seconds_of, cases)), rel=0.3)
    left, loaded, truth_s = run(clock, cases, 1)  # one case tells how this machine compares
    assert clock.left(left, loaded=loaded).seconds == pytest.approx(truth_s, rel=0.3)


def test_workers_share_the_levels():
    clock = Clock()
    run(clock, cases_of("p0"), 7)
    alone = clock.left(cases_of("p20", "p40")).seconds
    together = clock.left(cases_of("p20", "p40"), workers=2).seconds
    assert alone / 2 <= together == clock.left(cases_of("p20")).seconds
    assert clock.left(cases_of("p40"), workers=2) == clock.left(cases_of("p40"))  # one level is not divided


@pytest.fixture
def store(tmp_path):
    """A results folder with records of facts, in seconds by level and limit; the run was paused at p30."""
    found = Store(tmp_path)
    taken = [("p0", None, 30.0), ("p20", None, 25.0), ("p30", None, 3000.0), ("p40", 8, 1.0)]
    for minute, (level, limit, seconds) in enumerate(taken):
        (case,) = (case for case in cases_of(level) if case.subject_key == "facts")
        ending = f"-limit{limit}" if limit else ""
        path = tmp_path / "individual_files" / "nano" / level / f"{case.id}{ending}.json"
        path.parent.mkdir(parents=True)
        started = f"2026-01-01T10:{minute:02d}:00+00:00"
        path.write_text(json.dumps(record_values({"timing": {"started_at": started, "duration_s": seconds}})))
    (tmp_path / "individual_files" / "nano" / "p0" / "nano-p0-sums.json").write_text("{")
    return found


def test_the_median_of_the_records_with_the_same_limit_counts(store):
    machine = machine_named("another")
    found = recorded_times(store, cases_of("p60"), None, machine)["nano", "facts"]
    assert found.seconds == 30.0
    assert not found.is_here
    assert recorded_times(store, cases_of("p60"), 8, machine)["nano", "facts"].seconds == 1.0
    assert recorded_times(store, cases_of("p60"), 9, machine) == {}


def test_records_of_this_machine_count_alone(store):
    (path,) = (store.root / "individual_files/nano/p20").iterdir()
    record = json.loads(path.read_text())
    record["environment"]["cpu"] = "mine"
    path.write_text(json.dumps(record))
    found = recorded_times(store, cases_of("p60"), None, machine_named("mine"))["nano", "facts"]
    assert (found.seconds, found.is_here) == (25.0, True)


def test_a_record_of_this_machine_is_taken_as_it_is(store):
    (record,) = (store.root / "individual_files/nano/p20").iterdir()
    machine = machine_named(json.loads(record.read_text())["environment"]["cpu"])
    taken = recorded_times(store, cases_of("p60"), None, machine)
    assert taken["nano", "facts"].is_here
    clock = Clock(taken)
    clock.measured(cases_of("p0")[0], 100.0)
    assert clock.left(cases_of("p60")[:1]) == clock.left(cases_of("p60")[:1], loaded=["nano-p60"])


def test_an_architecture_case_counts_as_nothing():
    found = [case for case in build_cases(STUDY) if case.model.key == "nano" and case.pruning.key == "p0"]
    (bare,) = (case for case in found if case.kind is CaseKind.ARCHITECTURE)
    clock = Clock({("nano", "architecture"): Taken(0.1, None, is_here=False), ("nano", "facts"): Taken(2.0, None)})
    clock.measured(bare, 28.0)  # the first one imports torch
    assert clock.left([bare, *cases_of("p0")]) == TimeLeft(2.0, 6)
    assert clock.left([bare]) is None


def test_what_is_unknown_is_said():
    assert left_text(TimeLeft(80.0, 0)) == "1 min 20 s left"
    assert left_text(TimeLeft(80.0, 3)) == "at least 1 min 20 s left"
