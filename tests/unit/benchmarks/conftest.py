"""Setups of machines that are not there."""

import pytest
from gpu_parts.setup import Setup

from glu_lib.machine.environment import Environment
from glu_lib.study.settings import DType

VERSIONS = {"torch": "2.13.0", "python": "3.11.7"}


@pytest.fixture
def make_setup(tmp_path):
    """Makes a setup: of a GPU unless `gpu` is None."""

    def make(gpu="NVIDIA H200", **options):
        environment = Environment(
            device="cuda" if gpu else "cpu",
            dtype=DType.BFLOAT16 if gpu else DType.FLOAT32,
            seed=1234,
            threads=None,
            versions=VERSIONS,
            cpu="Some Processor",
            cores=16,
            memory_bytes=1 << 37,
            gpu=gpu,
            git_commit="abc",
        )
        return Setup(**{"output": tmp_path / "out", "environment": environment, **options})

    return make
