"""What is found out about this machine, its commit included: git is asked."""

from glu_lib.machine.environment import Gpu, detect_environment, setup_environment
from glu_lib.study.settings import DType, Settings


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


def test_variables_that_change_the_speed_are_recorded(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the suite sets torch's threads itself
    outside = detect_environment(Settings(device="cpu")).as_dict()["outside"]
    assert outside["ATEN_CPU_CAPABILITY"] == "default"
    assert "OMP_NUM_THREADS" not in outside
