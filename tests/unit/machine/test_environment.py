import pytest

from glu_lib.errors import SettingsError
from glu_lib.machine.environment import Gpu, default_dtype, detect_environment, setup_environment
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


def test_a_gpu_is_used_when_there_is_one(monkeypatch):
    monkeypatch.setattr("glu_lib.machine.environment.find_gpu", lambda: Gpu("L4", (8, 9)))
    found = detect_environment(Settings())
    assert (found.device, found.gpu, found.dtype) == ("cuda", "L4", DType.BFLOAT16)


def test_the_description_holds_versions_and_hardware():
    found = detect_environment(Settings(device="cpu")).as_dict()
    assert set(found["versions"]) >= {"torch", "transformers", "optipfair", "lm_eval", "codecarbon", "python"}
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1 << 20


def test_set_up_seeds_every_random_state():
    import random

    import numpy
    import torch

    def draw():
        setup_environment(Settings(device="cpu", seed=5))
        return random.random(), float(numpy.random.rand()), float(torch.rand(()))

    assert draw() == draw()
