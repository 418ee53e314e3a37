"""What is larger on a GPU than in a trial: matrices, documents."""

from types import SimpleNamespace

import pytest
import torch
from gpu_parts import rates, scorer
from gpu_parts.plan import SCORED, Part, Unit
from gpu_parts.timing import Rounds


def bench_of(setup):
    network = SimpleNamespace(words=[f"w{number}" for number in range(9)])
    return SimpleNamespace(setup=setup, device=torch.device(setup.device), network=lambda key: network)


@pytest.mark.parametrize(
    ("gpu", "is_tiny", "sizes"),
    [("NVIDIA H200", False, rates.ON_GPU), (None, False, rates.ON_CPU), ("NVIDIA H200", True, rates.TINY)],
)
def test_sizes_of_the_rates_are_those_of_the_device(make_setup, monkeypatch, gpu, is_tiny, sizes):
    monkeypatch.setattr(rates, "rates_of", lambda device, found: (device.type, found))
    bench = bench_of(make_setup(gpu=gpu, is_tiny=is_tiny))
    assert rates.measure_rates(bench, Unit(Part.RATES)) == ("cuda" if gpu else "cpu", sizes)


def test_on_a_gpu_a_round_of_hflm_decides_how_many_documents_there_are(make_setup, monkeypatch):
    asked = []

    def score(who, network, shape, requests, count):
        asked.append((str(who), shape.name, len(requests), count))
        return SimpleNamespace(times=Rounds((0.5,)))

    monkeypatch.setattr(scorer, "score", score)
    unit = Unit(Part.SCORER, "llama1b", SCORED[0])
    assert scorer._times(bench_of(make_setup()), unit) == 8.0  # four seconds
    assert asked == [("hflm", "hellaswag", 160, 1)]


@pytest.mark.parametrize(("is_tiny", "times"), [(True, 0.25), (False, 1.0)])
def test_elsewhere_nothing_is_tried_first(make_setup, monkeypatch, is_tiny, times):
    monkeypatch.setattr(scorer, "score", None)
    unit = Unit(Part.SCORER, "llama1b", SCORED[0])
    assert scorer._times(bench_of(make_setup(gpu=None, is_tiny=is_tiny)), unit) == times
