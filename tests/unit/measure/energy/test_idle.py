from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import MeasurementError
from glu_lib.measure.energy.conditions import CpuSeconds
from glu_lib.measure.energy.idle import IdlePower, idle_power, measure_idle
from glu_lib.measure.energy.reading import read_components
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.results.energy import Quality

KWH = 3_600_000.0


class Counter:
    """Stands for CodeCarbon's tracker: replays the energy (J) of each task window: GPU, CPU, and RAM if it is given."""

    def __init__(self, *windows):
        self._left = iter(windows)
        self.sources = {
            "cpu": ("rapl", Quality.MEASURED),
            "gpu": ("nvml", Quality.MEASURED),
            "ram": ("ram_model", Quality.ESTIMATED),
        }

    def start_task(self, _name):
        """Nothing to do."""

    def stop_task(self, _name):
        gpu, cpu, ram = next(self._left)
        return SimpleNamespace(gpu_energy=gpu / KWH, cpu_energy=cpu / KWH, ram_energy=ram / KWH)


@pytest.fixture
def replay(monkeypatch):
    """A meter whose windows have the given energies and durations."""

    def make(windows, seconds):
        counter, clock = Counter(*windows), iter([tick for second in seconds for tick in (0.0, second)])
        monkeypatch.setattr("glu_lib.measure.energy.window.sources", lambda tracker: tracker.sources)
        monkeypatch.setattr("glu_lib.measure.energy.window.time.perf_counter", lambda: next(clock))
        monkeypatch.setattr("glu_lib.measure.energy.idle.time.sleep", lambda _seconds: None)
        return EnergyMeter(_tracker=counter)

    return make


def measure(meter):
    with meter.window(torch.device("cpu")) as window:
        pass
    return window.result()


def test_constant_power_leaves_nothing_net_of_idle(replay):
    meter = replay([(300.0, 100.0, 50.0), (600.0, 200.0, 100.0)], [10.0, 20.0])
    idle = measure_idle(meter, torch.device("cpu"), 10.0, allow_shared=True)
    assert (idle.total_w, idle.parts_w["gpu"]) == (pytest.approx(45.0), pytest.approx(30.0))
    assert idle.net_j(measure(meter)) == pytest.approx(0.0, abs=1e-6)


def test_a_machine_that_does_not_rest_has_no_idle_power(replay, monkeypatch):
    work = iter(range(100))
    # Others keep 1.5 cores busy, at each attempt.
    monkeypatch.setattr(
        "glu_lib.measure.energy.conditions._cpu_seconds", lambda: CpuSeconds((n := next(work)), 1.5 * n, 0.0)
    )
    meter = replay([(300.0, 100.0, 50.0)] * 4, [10.0] * 4)
    with pytest.raises(
        MeasurementError, match=r"idle power: other processes were too busy in each of 3 attempts \(1\.50 cores"
    ):
        measure_idle(meter, torch.device("cpu"), 10.0, allow_shared=False)
    assert not measure_idle(meter, torch.device("cpu"), 10.0, allow_shared=True).exclusive


def test_net_energy_below_zero_is_reported_as_such(replay):
    meter = replay([(300.0, 100.0, 50.0), (30.0, 10.0, 50.0)], [10.0, 10.0])
    idle = measure_idle(meter, torch.device("cpu"), 10.0, allow_shared=True)
    assert idle.net_j(measure(meter)) == pytest.approx(-360.0)


def test_a_jump_of_the_counter_is_in_its_own_window_only(replay):
    meter = replay([(1000.0, 100.0, 50.0), (10.0, 10.0, 50.0)], [10.0, 10.0])
    assert [measure(meter).total_j, measure(meter).total_j] == [pytest.approx(1150.0), pytest.approx(70.0)]


@pytest.mark.parametrize("lost", [0.0, -50.0])
def test_a_counter_that_stood_still_or_began_anew_is_null(replay, lost):
    reading = measure(replay([(lost, 100.0, 50.0)], [10.0]))
    assert (reading.gpu.energy_j, reading.gpu.reason) == (None, "the counter did not advance in this window")
    assert reading.cpu.energy_j == pytest.approx(100.0)
    assert (reading.total_j, reading.quality) == (None, None)
    assert reading.total_reason == "GPU: the counter did not advance in this window"


def test_idle_power_without_the_gpu_is_not_subtracted(replay):
    meter = replay([(0.0, 100.0, 50.0), (600.0, 200.0, 100.0)], [10.0, 20.0])
    idle = measure_idle(meter, torch.device("cpu"), 10.0, allow_shared=True)
    reading = measure(meter)
    assert reading.total_j == pytest.approx(900.0)
    assert (idle.total_w, idle.total_reason) == (None, "GPU: the counter did not advance in this window")
    assert idle.net_j(reading) is None


@pytest.mark.parametrize("part", ["gpu", "cpu", "ram"])
def test_idle_power_of_other_parts_than_the_windows_is_not_subtracted(replay, part):
    reading = measure(replay([(600.0, 200.0, 100.0)], [20.0]))
    watts = {"gpu": 30.0, "cpu": 10.0, "ram": 5.0} | {part: None}
    assert IdlePower(10.0, 40.0, watts).net_j(reading) is None  # as an earlier version added it up


def test_without_any_counter_there_is_no_net_figure(replay):
    reading = measure(replay([(0.0, 0.0, 0.0)], [10.0]))
    assert reading.total_j is None
    assert idle_power(reading).net_j(reading) is None


@pytest.mark.parametrize(("seconds", "is_short"), [(0.05, True), (0.2, True), (1.1, False)])
def test_a_window_below_the_counters_step_is_marked(replay, seconds, is_short):
    assert measure(replay([(3.0, 1.0, 1.0)], [seconds])).is_short is is_short


def test_co2e_needs_the_users_word():
    data = SimpleNamespace(gpu_energy=0.0, cpu_energy=0.3, ram_energy=0.2)
    sources = {"cpu": ("rapl", Quality.MEASURED), "ram": ("ram_model", Quality.ESTIMATED)}
    assert read_components(data, sources, 10.0).co2e_kg is None
    assert read_components(data, sources, 10.0, 400.0).co2e_kg == pytest.approx(0.2)
