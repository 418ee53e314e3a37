import os
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import MeasurementError, SettingsError
from glu_lib.measure.energy.conditions import (
    CpuSeconds,
    _cpu_seconds,
    check_exclusive,
    gpu_state,
    observed_conditions,
    other_cpu_cores,
)
from glu_lib.measure.energy.tracker import country_intensity

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def driver(monkeypatch):
    """An NVIDIA driver with one GPU and the processes on it."""
    state = SimpleNamespace(pids=[os.getpid()])
    fake = SimpleNamespace(
        NVMLError=RuntimeError,
        NVML_TEMPERATURE_GPU=0,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTemperature=lambda _handle, _kind: 61,
        nvmlDeviceGetClockInfo=lambda _handle, kind: 1000 * kind,
        nvmlDeviceGetEnforcedPowerLimit=lambda _handle: 72_000,
        nvmlDeviceGetComputeRunningProcesses=lambda _handle: [SimpleNamespace(pid=pid) for pid in state.pids],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(uuid="1-2-3"))
    return state


def test_a_cpu_has_no_gpu_state():
    assert gpu_state(CPU) is None


def test_the_gpus_state_is_the_drivers(driver):
    assert gpu_state(GPU) == {
        "temperature_c": 61.0,
        "sm_clock_mhz": 1000.0,
        "memory_clock_mhz": 2000.0,
        "power_limit_w": 72.0,
    }


def test_another_process_on_the_gpu_is_named_with_the_remedy(driver):
    assert check_exclusive(GPU, allow_shared=False)
    driver.pids.append(4711)
    with pytest.raises(
        MeasurementError, match=r"the other processes on the GPU \(pid 4711\); wait until they end, or record"
    ):
        check_exclusive(GPU, allow_shared=False)
    assert not check_exclusive(GPU, allow_shared=True)


def test_somebody_who_comes_during_the_measurement_shows_too(driver):
    with observed_conditions(GPU, allow_shared=False) as conditions:
        driver.pids.append(4711)
    assert conditions["exclusive"] is False
    assert conditions["gpu_before"]["power_limit_w"] == conditions["gpu_after"]["power_limit_w"] == 72.0


def test_work_of_others_is_the_machines_less_our_own():
    before, after = CpuSeconds(100.0, 50.0, 20.0), CpuSeconds(110.0, 63.0, 29.0)
    assert other_cpu_cores(before, after) == pytest.approx((13.0 - 9.0) / 10.0)
    assert other_cpu_cores(before, CpuSeconds(110.0, 58.9, 29.0)) == 0.0  # clocks of unequal steps


@pytest.mark.parametrize(("others_s", "exclusive"), [(0.24, True), (0.26, False)])
def test_others_at_work_on_the_processor_show_wherever_the_model_is(monkeypatch, driver, others_s, exclusive):
    for device in (CPU, GPU):  # the machine's total holds the processor's energy in both cases
        seconds = iter([CpuSeconds(0.0, 0.0, 0.0), CpuSeconds(1.0, 1.0 + others_s, 1.0)])
        monkeypatch.setattr("glu_lib.measure.energy.conditions._cpu_seconds", lambda seconds=seconds: next(seconds))
        with observed_conditions(device, allow_shared=False) as conditions:
            pass
        assert conditions["other_cpu_cores"] == pytest.approx(others_s)
        assert conditions["exclusive"] is exclusive


def test_others_on_a_gpu_show_beside_work_on_the_cpu_too(driver):
    assert check_exclusive(CPU, allow_shared=False)
    driver.pids.append(4711)  # its energy is in the machine's
    with pytest.raises(MeasurementError, match=r"the other processes on the GPU \(pid 4711\)"):
        check_exclusive(CPU, allow_shared=False)


@pytest.mark.parametrize(("others_s", "exclusive"), [(0.03, True), (0.05, False)])
def test_a_short_block_sees_of_others_what_the_kernels_clock_shows(monkeypatch, others_s, exclusive):
    seconds = iter([CpuSeconds(0.0, 0.0, 0.0), CpuSeconds(0.08, 0.08 + others_s, 0.08)])
    monkeypatch.setattr("glu_lib.measure.energy.conditions._cpu_seconds", lambda: next(seconds))
    with observed_conditions(CPU, allow_shared=False) as conditions:
        pass
    assert conditions["exclusive"] is exclusive


def test_our_own_work_is_not_that_of_others():
    end_s = time.process_time() + 0.3  # its own seconds: the machine may be busy with others
    before = _cpu_seconds()
    while time.process_time() < end_s:
        pass
    after = _cpu_seconds()
    assert after.own_s - before.own_s > 0.2


def test_other_workers_of_the_run_share_the_machine(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    with pytest.raises(
        MeasurementError, match=r"that of the other workers of this run \(leave out -n\); wait until they end"
    ):
        check_exclusive(CPU, allow_shared=False)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    assert check_exclusive(CPU, allow_shared=False)


def test_a_countrys_intensity_is_codecarbons_and_nothing_is_guessed():
    assert 0 < country_intensity("nor") < country_intensity("POL") < 1200
    with pytest.raises(
        SettingsError, match="--country 'Germany': CodeCarbon has no energy mix for it; give a three-letter ISO"
    ):
        country_intensity("Germany")
