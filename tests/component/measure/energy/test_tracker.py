import inspect
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import MeasurementError
from glu_lib.measure.energy.tracker import DEPRECATED, VALUES, make_tracker, sources
from glu_lib.measure.energy.window import EnergyMeter

CPU = torch.device("cpu")
OUTSIDE = {
    "pue": "2",
    "wue": "3",
    "force_cpu_power": "500",
    "force_ram_power": "500",
    "force_mode_cpu_load": "true",
    "force_carbon_intensity_g_co2e_kwh": "1000",
    "tracking_mode": "process",
    "measure_power_secs": "77",
    "output_dir": "/nonexistent",
    "output_file": "elsewhere.csv",
    "output_methods": "csv,api",
    "save_to_api": "true",
    "emissions_endpoint": "http://localhost:1",
    "experiment_id": "theirs",
    "gpu_ids": "7",
    "rapl_include_dram": "true",
    "rapl_prefer_psys": "true",
    "country_iso_code": "FRA",
    "api_call_interval": "1",
    "log_level": "debug",
    "allow_multiple_runs": "false",
}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A home and a working folder of one's own, without a word to CodeCarbon."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def figures(tracker):
    """All that CodeCarbon was told and that could change a figure, with the watts of its memory model."""
    hardware = {type(item).__name__: item for item in tracker._hardware}
    return {
        **{name: tracker._conf[name] for name in VALUES},
        "save_to_api": tracker._save_to_api,
        "save_to_file": tracker._save_to_file,
        "ram_w": hardware["RAM"].total_power().W,
        "cpu": (hardware["CPU"]._mode, hardware["CPU"]._tdp, hardware["CPU"]._tracking_mode),
    }


def test_every_value_of_codecarbons_tracker_is_given():
    from codecarbon.emissions_tracker import BaseEmissionsTracker, OfflineEmissionsTracker

    known = {
        name
        for kind in (BaseEmissionsTracker, OfflineEmissionsTracker)
        for name, parameter in inspect.signature(inspect.unwrap(kind.__init__)).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    assert known - {"self"} == VALUES.keys() | DEPRECATED | {"gpu_ids"}


@pytest.mark.parametrize("place", ["home", "work", "variables", "upper variables"])
def test_settings_from_outside_change_no_figure_and_end_no_run(elsewhere, monkeypatch, place):
    expected = figures(make_tracker(CPU))
    if place in ("home", "work"):
        lines = "\n".join(f"{name} = {value}" for name, value in OUTSIDE.items())
        (elsewhere / place / ".codecarbon.config").write_text(f"[codecarbon]\n{lines}\n")
    for name, value in OUTSIDE.items() if "variables" in place else ():
        variable = f"codecarbon_{name}"
        monkeypatch.setenv(variable.upper() if place == "upper variables" else variable, value)
    assert figures(make_tracker(CPU)) == expected
    assert (expected["pue"], expected["cpu"][2]) == (1.0, "machine")


def test_joules_of_a_window_are_the_same_with_settings_from_outside(elsewhere, monkeypatch):
    def ram_w():
        meter = EnergyMeter()
        with meter.window(CPU) as window:
            sum(range(3_000_000))
        return window.result().ram.energy_j / window.result().window_s

    before = ram_w()
    monkeypatch.setenv("CODECARBON_PUE", "2")
    assert ram_w() == pytest.approx(before, rel=0.3)  # the edges of a window of 50 ms; twice as much would be 1.0


def test_a_configuration_file_that_cannot_be_parsed_is_not_read(elsewhere):
    (elsewhere / "work" / ".codecarbon.config").write_text("pue = 2\n[codecarbon\n")
    assert make_tracker(CPU)._pue == 1.0


def test_codecarbon_reads_its_settings_again_for_others(elsewhere, monkeypatch):
    from codecarbon import emissions_tracker

    make_tracker(CPU)
    monkeypatch.setenv("CODECARBON_PUE", "2")
    assert emissions_tracker.get_hierarchical_config()["pue"] == "2"


def test_a_tracker_that_could_not_be_made_is_one_line(monkeypatch):
    monkeypatch.setitem(VALUES, "output_dir", "/nonexistent")
    with pytest.raises(
        MeasurementError, match=r"CodeCarbon could not be set up \(.*output_dir.*\); this version cannot"
    ):
        make_tracker(CPU)


@pytest.fixture
def two_gpus(monkeypatch):
    """NVML with two GPUs, for CodeCarbon and for us; CUDA is told to see the second one only, by its UUID."""
    uuids = ["GPU-aaaa", "GPU-bbbb"]
    fake = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: uuids[handle],
        nvmlDeviceGetIndex=lambda handle: handle,
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=lambda handle: handle,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: True)
    monkeypatch.setattr("codecarbon.core.gpu.AllGPUDevices", lambda: SimpleNamespace(device_count=2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb")


def test_the_gpu_that_counts_is_the_models_own(two_gpus):
    assert make_tracker(torch.device("cuda"))._conf["gpu_ids"] == [1]


def test_beside_work_on_the_cpu_all_gpus_of_the_machine_count(two_gpus):
    assert make_tracker(CPU)._conf["gpu_ids"] == [0, 1]


def test_a_tracker_that_measures_nothing_is_one_line(monkeypatch):
    before = set(sampling())
    monkeypatch.setattr("codecarbon.OfflineEmissionsTracker.stop_task", lambda *_: None)
    with pytest.raises(MeasurementError, match=r"CodeCarbon could not be set up \(no window\); this version cannot"):
        make_tracker(CPU)
    assert set(sampling()) <= before  # no thread goes on sampling for a run without energy


def sampling():
    """The threads that wait for their next sample."""
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    return [timer for timer in timers if not timer.finished.is_set()]


@pytest.fixture
def apple_chip(monkeypatch):
    """CodeCarbon on a Mac whose chip it does not know, so that it would ask sudo; the commands that are run."""
    from codecarbon.core import hardware_cache, powermetrics

    asked = SimpleNamespace(codecarbon=0, commands=[], status=1)

    def ask():
        asked.codecarbon += 1
        return False

    ask.cache_clear = lambda: None

    def run(command, **options):
        asked.commands.append((command, options["stdin"]))
        return SimpleNamespace(returncode=asked.status)

    for name, value in {
        "is_linux_os": lambda: False,
        "is_mac_os": lambda: True,
        "is_mac_arm": lambda _model: True,
        "detect_cpu_model": lambda: "Apple M99",
        "ResourceTracker._setup_cpu_load_fast": lambda _tracker, _model: False,
    }.items():
        monkeypatch.setattr(f"codecarbon.core.resource_tracker.{name}", value)
    monkeypatch.setattr(powermetrics, "is_powermetrics_available", ask)
    monkeypatch.setattr("glu_lib.measure.energy.tracker.sys", SimpleNamespace(platform="darwin"))
    fake = SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL, SubprocessError=subprocess.SubprocessError)
    monkeypatch.setattr("glu_lib.measure.energy.tracker.subprocess", fake)
    hardware_cache.clear_cache()
    yield asked
    hardware_cache.clear_cache()


def test_on_a_mac_codecarbon_asks_for_no_password(apple_chip):
    assert "cpu" in sources(make_tracker(CPU))
    assert apple_chip.codecarbon == 0
    ((command, stdin),) = apple_chip.commands
    assert command[:4] == ("sudo", "-k", "-n", "powermetrics")  # never asks, and trusts no remembered password
    assert stdin == subprocess.DEVNULL


def test_on_a_mac_whose_sudo_allows_it_without_a_password_codecarbon_decides(apple_chip):
    apple_chip.status = 0
    make_tracker(CPU)
    assert apple_chip.codecarbon == 1


def test_on_a_mac_without_sudo_codecarbon_asks_for_none(apple_chip, monkeypatch):
    def run(*_args, **_options):
        raise FileNotFoundError("sudo")

    monkeypatch.setattr("glu_lib.measure.energy.tracker.subprocess.run", run)
    make_tracker(CPU)
    assert apple_chip.codecarbon == 0
