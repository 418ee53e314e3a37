from types import SimpleNamespace

import pytest
import torch
from gpu_parts.rates import Sizes, rates_of
from gpu_parts.timing import Rounds, call_seconds, kernel_seconds, rounds

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def log(monkeypatch):
    """What a fake GPU was asked for, in order; 250 ms lie between two events."""
    found = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            found.append("record")

        def synchronize(self):
            found.append("wait")

        def elapsed_time(self, end):
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: found.append("synchronize"))
    return found


def test_kernels_are_timed_by_the_gpus_own_events(log):
    assert kernel_seconds(CUDA, lambda: log.append("work")) == 0.25
    assert log == ["record", "work", "record", "wait"]


def test_calls_are_timed_between_two_synchronizations(log, monkeypatch):
    ticks = iter([10.0, 12.5])
    monkeypatch.setattr("gpu_parts.timing.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert call_seconds(CUDA, lambda: log.append("work")) == 2.5
    assert log == ["synchronize", "work", "synchronize"]


def test_on_a_processor_nothing_is_synchronized(log, monkeypatch):
    ticks = iter([1.0, 2.0])
    monkeypatch.setattr("gpu_parts.timing.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert kernel_seconds(CPU, lambda: log.append("work")) == 1.0
    assert log == ["work"]


def test_rounds_say_fastest_and_median():
    seconds = iter([3.0, 1.0, 2.0])
    assert rounds(lambda: next(seconds), 3).as_dict() == {
        "fastest_s": 1.0,
        "median_s": 2.0,
        "rounds_s": [3.0, 1.0, 2.0],
    }
    assert Rounds((2.0, 1.5)).fastest_s == 1.5


def test_rates_are_operations_and_bytes_over_the_fastest_round(monkeypatch):
    work = []

    def seconds(device, action):
        action()
        work.append(action)
        return 0.5 if len(work) % 5 == 0 else 1.0  # the fastest of each five rounds

    monkeypatch.setattr("gpu_parts.rates.kernel_seconds", seconds)
    monkeypatch.setattr("gpu_parts.rates.call_seconds", seconds)
    found = rates_of(CPU, Sizes(sides=(4, 8), products=3, copy_bytes=1000, launches=10))
    by_side = {"4": 2 * 4**3 * 3 / 0.5, "8": 2 * 8**3 * 3 / 0.5}
    assert found["matmul"]["bfloat16"] == {"flop_per_s": by_side["8"], "by_side": by_side}
    assert found["copy_bytes_per_s"] == 2 * 1000 / 0.5
    assert found["launch_s"] == 0.5 / 10


def test_a_matrix_that_does_not_fit_is_left_out(monkeypatch):
    def product(device, dtype, side, products):
        if side == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 7.0

    monkeypatch.setattr("gpu_parts.rates._product_rate", product)
    found = rates_of(CPU, Sizes(sides=(4, 8), products=1, copy_bytes=10, launches=1))
    assert found["matmul"]["float16"] == {"flop_per_s": 7.0, "by_side": {"4": 7.0}}
