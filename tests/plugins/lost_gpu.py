"""A GPU that fails for good, at the place and case that POISON names: "forward p20-sums" or "release p20-facts".

CUDA's own behaviour: after a device-side assert each further call fails in the same way, that of the cache too.
"""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch

ERROR = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other"
PLACE, CASE = os.environ["POISON"].split()
PATCH = pytest.MonkeyPatch()  # never undone: the process ends


class Gpu:
    """Whether the assert has been triggered."""

    is_lost = False


def fail(*_arguments: Any, **_options: Any) -> NoReturn:
    """The GPU is lost from now on."""
    Gpu.is_lost = True
    PATCH.setattr("torch.cuda.is_available", lambda: True)
    PATCH.setattr("torch.cuda.empty_cache", fail)
    raise torch.AcceleratorError(ERROR)


def poisoned(place: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, which fails at its place and case, and wherever the GPU is lost."""

    def call(*arguments: Any, **options: Any) -> Any:
        if Gpu.is_lost or (place == PLACE and CASE in os.environ.get("PYTEST_CURRENT_TEST", "")):
            fail()
        return real(*arguments, **options)

    return call


def pytest_configure() -> None:
    """Poisons the forward pass and the release of a model."""
    from transformers.models.llama.modeling_llama import LlamaModel

    from glu_lib.machine.memory import release_memory

    PATCH.setattr(LlamaModel, "forward", poisoned("forward", LlamaModel.forward))
    PATCH.setattr("glu_lib.measure.prepared.release_memory", poisoned("release", release_memory))
