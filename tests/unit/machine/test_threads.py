import pytest

from glu_lib.errors import SettingsError
from glu_lib.machine.cpus import check_threads
from glu_lib.machine.threads import fastest, rows_of
from glu_lib.run.experiment import Experiment
from glu_lib.study.settings import Settings


class Machine:
    """A fake machine: seconds per step for each thread count, read off a clock that only it moves."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.threads, self.steps = seconds, 0.0, 0, []
        monkeypatch.setattr("glu_lib.machine.threads.time.perf_counter", lambda: self.now)

    def set_threads(self, threads):
        self.threads = threads

    def step(self):
        self.steps.append(self.threads)
        self.now += self.seconds[self.threads]


def test_more_threads_win_where_they_are_faster(monkeypatch):
    machine = Machine(monkeypatch, {1: 4.0, 2: 2.1, 4: 1.2})
    assert fastest(machine.step, machine.set_threads, [1, 2, 4]) == 4


def test_a_count_that_is_far_slower_costs_one_step(monkeypatch):
    machine = Machine(monkeypatch, {1: 1.0, 2: 225.0, 4: 0.1})
    assert fastest(machine.step, machine.set_threads, [1, 2, 4]) == 1
    assert machine.steps.count(2) == 1
    assert 4 not in machine.steps


def test_a_tie_goes_to_fewer_threads(monkeypatch):
    machine = Machine(monkeypatch, {1: 1.0, 2: 1.0})
    assert fastest(machine.step, machine.set_threads, [1, 2]) == 1


@pytest.mark.parametrize(
    ("threads", "processes", "line"),
    [
        (4, 1, ""),
        (None, 1, ""),
        (2, 2, ""),
        (1, 8, ""),
        (5, 1, "--threads 5: this process may use 4 CPUs; choose at most 4, or leave it out to have it measured"),
        (3, 2, "-n 2 with --threads 3: this process may use 4 CPUs; choose at most 2, or leave it out to *"),
        (2, 8, "-n 8 with --threads 2: this process may use 4 CPUs; choose at most 1, or leave it out to *"),
    ],
)
def test_more_threads_than_there_are_cpus_are_refused(monkeypatch, threads, processes, line):
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(4)))  # as in a container or under taskset
    if not line:
        check_threads(threads, processes)
        return
    with pytest.raises(SettingsError, match=line.replace("*", ".*")):
        check_threads(threads, processes)


def test_a_notebook_is_told_of_too_many_threads(tmp_path):
    with pytest.raises(SettingsError, match="--threads 9999: this process may use"):
        Experiment(Settings(results_dir=tmp_path, threads=9999))


@pytest.mark.parametrize(("row_s", "rows"), [(0.001, 64), (0.03, 4), (0.06, 2), (0.2, 1), (10.0, 1)])
def test_a_step_has_no_more_rows_than_it_needs(monkeypatch, row_s, rows):
    machine = Machine(monkeypatch, {})

    def step(count):
        machine.now += count * row_s

    assert rows_of(step) == rows


def test_a_long_step_is_done_once(monkeypatch):
    machine = Machine(monkeypatch, {1: 2.0, 2: 1.1})
    assert fastest(machine.step, machine.set_threads, [1, 2]) == 2
    assert machine.steps == [1, 2]
