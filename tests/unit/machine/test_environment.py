from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import SettingsError
from glu_lib.machine.environment import (
    Gpu,
    _cpu_name,
    default_dtype,
    detect_environment,
    setup_environment,
    synchronize,
)
from glu_lib.study.settings import DType, Settings


@pytest.mark.parametrize(
    ("device", "gpu", "dtype"),
    [
        ("cpu", None, DType.FLOAT32),
        ("cpu", Gpu("H200", (9, 0)), DType.FLOAT32),
        ("cuda", Gpu("L4", (8, 9)), DType.BFLOAT16),
        ("cuda", Gpu("A100", (8, 0)), DType.BFLOAT16),
        ("cuda", Gpu("T4", (7, 5)), DType.FLOAT16),
    ],
)
def test_the_number_format_follows_the_hardware(device, gpu, dtype):
    assert default_dtype(device, gpu) is dtype


def test_an_unknown_device_is_refused():
    with pytest.raises(SettingsError, match="--device 'gpu' is unknown; choose cpu, cuda, cuda:N or mps"):
        detect_environment(Settings(device="gpu"))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("glu_lib.machine.environment.find_gpu", lambda: None)
    with pytest.raises(SettingsError, match="--device 'cuda': no GPU with a CUDA or ROCm build of torch was found"):
        detect_environment(Settings(device="cuda"))


@pytest.fixture
def mac(monkeypatch):
    """A Mac with an Apple chip, as Python describes it; what sysctl prints."""
    monkeypatch.setattr("glu_lib.machine.environment.sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr("glu_lib.machine.environment.platform.machine", lambda: "arm64")
    answers = {"sysctl": "Apple M9\n", "git": "0123\n"}
    monkeypatch.setattr(
        "glu_lib.machine.environment.subprocess.run",
        lambda command, **_options: SimpleNamespace(stdout=answers[command[0]]),
    )


def test_a_macs_gpu_computes_in_float32_and_is_no_nvidia_gpu(mac):
    found = detect_environment(Settings(device="mps"))
    assert (found.device, found.dtype, found.gpu) == ("mps", DType.FLOAT32, None)


def test_a_macs_gpu_is_not_chosen_by_itself(mac, monkeypatch):
    monkeypatch.setattr("glu_lib.machine.environment.find_gpu", lambda: None)
    assert detect_environment(Settings()).device == "cpu"


def test_the_processor_of_a_mac_has_its_name(mac, tmp_path):
    assert _cpu_name(tmp_path / "no such file") == "Apple M9"


@pytest.mark.parametrize("found", [("linux", "x86_64"), ("darwin", "x86_64"), ("linux", "arm64")])
def test_mps_is_refused_on_another_machine(monkeypatch, found):
    monkeypatch.setattr("glu_lib.machine.environment.sys", SimpleNamespace(platform=found[0]))
    monkeypatch.setattr("glu_lib.machine.environment.platform.machine", lambda: found[1])
    with pytest.raises(SettingsError, match="--device 'mps' is the GPU of a Mac with an Apple chip, and this is none"):
        detect_environment(Settings(device="mps"))


def test_mps_is_refused_by_a_torch_that_lacks_it(mac, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="device 'mps': torch .* cannot use it; install a torch for this macOS, or"):
        setup_environment(Settings(device="mps"))


def test_each_kind_of_device_is_waited_for(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("mps"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(device.type))
    for name in ("cpu", "mps", "cuda"):
        synchronize(torch.device(name))
    assert calls == ["mps", "cuda"]
