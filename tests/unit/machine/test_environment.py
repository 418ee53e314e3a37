import pytest

from glu_lib.errors import SettingsError
from glu_lib.machine.environment import Gpu, default_dtype, detect_environment
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
    with pytest.raises(SettingsError, match="--device 'gpu' is unknown; choose cpu, cuda or cuda:N"):
        detect_environment(Settings(device="gpu"))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("glu_lib.machine.environment.find_gpu", lambda: None)
    with pytest.raises(SettingsError, match="--device 'cuda': no NVIDIA GPU with a CUDA build of torch was found"):
        detect_environment(Settings(device="cuda"))
