from glu_lib.threads import choose_threads, fastest


class Machine:
    """A fake machine: seconds per step for each thread count, read off a clock that only it moves."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.threads, self.steps = seconds, 0.0, 0, []
        monkeypatch.setattr("glu_lib.threads.time.perf_counter", lambda: self.now)

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
