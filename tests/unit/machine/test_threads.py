import dataclasses

import pytest

from glu_lib.errors import SettingsError
from glu_lib.machine.cpus import check_threads
from glu_lib.machine.environment import detect_environment
from glu_lib.machine.threads import ThreadChoice, choose_threads, fastest
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


def test_the_chosen_count_is_set(tiny_llama):
    import torch

    before = torch.get_num_threads()
    try:
        chosen = choose_threads(tiny_llama, cores=2)
        assert chosen in (1, 2)
        assert torch.get_num_threads() == chosen
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("workers", "share"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_workers_share_the_cores(tiny_llama, monkeypatch, workers, share):
    asked = []
    monkeypatch.setattr("glu_lib.machine.threads.choose_threads", lambda _model, cores: asked.append(cores) or 1)
    machine = dataclasses.replace(detect_environment(Settings(device="cpu")), cores=8)
    ThreadChoice(workers=workers).apply(tiny_llama, machine)
    assert asked == [share]


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


def test_a_worker_knows_how_many_there_are(tmp_path, monkeypatch):
    settings = Settings(results_dir=tmp_path)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert Experiment(settings).preparation.threads.workers == 1
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    assert Experiment(settings).preparation.threads.workers == 2
