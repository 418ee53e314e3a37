import dataclasses

import pytest

from glu_lib.machine.environment import detect_environment
from glu_lib.machine.threads import ThreadChoice, choose_threads
from glu_lib.run.experiment import Experiment
from glu_lib.study.settings import Settings


def test_the_chosen_count_is_set(tiny_llama):
    import torch

    before = torch.get_num_threads()
    try:
        chosen = choose_threads(tiny_llama, cores=2)
        assert chosen in (1, 2)
        assert torch.get_num_threads() == chosen
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("workers", "share"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_workers_share_the_cores(tiny_llama, monkeypatch, workers, share):
    asked = []
    monkeypatch.setattr("glu_lib.machine.threads.choose_threads", lambda _model, cores: asked.append(cores) or 1)
    machine = dataclasses.replace(detect_environment(Settings(device="cpu")), cores=8)
    ThreadChoice(workers=workers).apply(tiny_llama, machine)
    assert asked == [share]


def test_a_worker_knows_how_many_there_are(tmp_path, monkeypatch):
    settings = Settings(results_dir=tmp_path)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert Experiment(settings).preparation.loader.threads.workers == 1
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    assert Experiment(settings).preparation.loader.threads.workers == 2
