"""Repeats of a workload with a counted clock and counted energies: what their means and windows hold."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from glu_lib.measure.energy.idle import IdlePower
from glu_lib.measure.energy.reading import read_components
from glu_lib.measure.energy.timed_generation import StepTimes
from glu_lib.measure.energy.window import Window
from glu_lib.measure.energy.workload import WorkloadProfile
from glu_lib.results.energy import Quality
from glu_lib.study import Workload
from glu_lib.study.settings import Settings

SOURCES = {
    "gpu": ("nvml", Quality.MEASURED),
    "cpu": ("rapl", Quality.MEASURED),
    "ram": ("ram_model", Quality.ESTIMATED),
}
KWH = 3_600_000.0
PASS_S = 0.25


class Clock:
    """Seconds that pass only when something says so."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


class Meter:
    """Windows on the counted clock; the first one has to wait until the tracker is there."""

    def __init__(self, clock, gpu_j):
        self.clock, self.gpu_j, self.windows_s, self.is_started = clock, iter(gpu_j), [], False

    def start(self, _device):
        if not self.is_started:
            self.clock.now_s += 0.75
            self.is_started = True

    @contextmanager
    def window(self, device, _log=None):
        self.start(device)
        window, start_s = Window(), self.clock()
        yield window
        window_s = self.clock() - start_s
        self.windows_s.append(window_s)
        data = SimpleNamespace(gpu_energy=next(self.gpu_j) / KWH, cpu_energy=10 / KWH, ram_energy=20 / KWH)
        window.reading = read_components(data, SOURCES, window_s)


@pytest.fixture
def profile_of(monkeypatch, tmp_path):
    """A profile whose passes take PASS_S seconds each, with the joules of the GPU of each window in turn."""

    def make(gpu_j, seeds, idle=None):
        clock = Clock()

        def generate(*_arguments):
            clock.now_s += PASS_S
            return [4]

        for name in ("generate_fixed", "generate_natural"):
            monkeypatch.setattr(f"glu_lib.measure.energy.workload.{name}", generate)
        monkeypatch.setattr("glu_lib.measure.energy.workload.time_steps", lambda *_: StepTimes(1.0, (1.0,)))
        monkeypatch.setattr("glu_lib.measure.energy.workload.time.perf_counter", clock)
        batch = {"input_ids": torch.zeros((1, 8), dtype=torch.long)}
        monkeypatch.setattr(WorkloadProfile, "_batches", lambda *_: [batch])
        config = SimpleNamespace(max_position_embeddings=4096)
        loaded = SimpleNamespace(model=SimpleNamespace(device=torch.device("cpu"), config=config))
        workload = Workload("decode", None, num_prompts=1, new_tokens=4, batch_size=1, seeds=seeds, prompt_tokens=8)
        settings = Settings(tmp_path, min_window_s=1.0, allow_shared=True)
        return WorkloadProfile(loaded, workload, None, Meter(clock, gpu_j), settings, idle, Path(tmp_path))

    return make


def test_no_window_is_shorter_than_asked_not_even_the_first_of_a_run(profile_of):
    profile = profile_of([100.0, 100.0], (42,))
    profile.measure(42)
    assert profile.meter.windows_s == [1.0, 1.0]


def test_a_mean_over_repeats_of_which_one_lacks_its_gpu_is_null_with_the_reason(profile_of):
    idle = IdlePower(30.0, 8.0, {"gpu": 5.0, "cpu": 1.0, "ram": 2.0})
    profile = profile_of([100.0, 100.0, 0.0, 100.0], (42, 43), idle)
    for seed in (42, 43):
        profile.measure(seed)
    whole, lame = profile.repeats
    assert whole["energy"]["total_j"] == pytest.approx(130.0)
    assert (lame["energy"]["total_j"], lame["energy_per_token_j"], lame["net_energy_per_token_j"]) == (None, None, None)
    assert lame["energy"]["total_reason"] == "GPU: the counter did not advance in this window"
    found = profile.result()["profile"]
    for name in ("energy_per_token_j", "net_energy_per_token_j", "energy_per_response_j"):
        assert (found[name]["mean"], found[name]["reason"]) == (None, "1 of 2 repeats have no figure")
    assert found["tokens_per_s"]["mean"] == pytest.approx(16.0)
