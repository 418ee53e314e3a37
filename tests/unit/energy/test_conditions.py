import os
import sys
from types import SimpleNamespace

import pytest
import torch

from glu_lib.energy import check_exclusive, country_intensity, gpu_state, observed_conditions
from glu_lib.errors import MeasurementError, SettingsError

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
    with pytest.raises(MeasurementError, match=r"the other processes on the GPU \(pid 4711\); let them end, or record"):
        check_exclusive(GPU, allow_shared=False)
    assert not check_exclusive(GPU, allow_shared=True)


def test_somebody_who_comes_during_the_measurement_shows_too(driver):
    with observed_conditions(GPU, allow_shared=False) as conditions:
        driver.pids.append(4711)
    assert conditions["exclusive"] is False
    assert conditions["gpu_before"]["power_limit_w"] == conditions["gpu_after"]["power_limit_w"] == 72.0


def test_other_workers_of_the_run_share_the_machine(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    with pytest.raises(MeasurementError, match=r"that of the other workers of this run \(leave out -n\); let them end"):
        check_exclusive(CPU, allow_shared=False)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    assert check_exclusive(CPU, allow_shared=False)


def test_a_countrys_intensity_is_codecarbons_and_nothing_is_guessed():
    assert 0 < country_intensity("nor") < country_intensity("POL") < 1200
    with pytest.raises(SettingsError, match="--country 'Germany': CodeCarbon has no energy mix for it; give an ISO"):
        country_intensity("Germany")
