"""Notes in memory.txt how many bytes of tensors are alive when a model is loaded and released; some cases fail.

Each storage counts once. Nothing is collected first: what waits for the collector counts.
"""

import gc
import os
from pathlib import Path
from typing import Any

import pytest


def live_bytes() -> int:
    """Bytes of all tensors alive."""
    import torch

    tensors = [found for found in gc.get_objects() if issubclass(type(found), torch.Tensor)]
    storages = {found.untyped_storage().data_ptr(): found.untyped_storage().nbytes() for found in tensors}
    return sum(storages.values())


def note(what: str) -> None:
    """A line of memory.txt."""
    with Path("memory.txt").open("a") as file:
        file.write(f"{what} {live_bytes()}\n")


def current(case: str) -> bool:
    """Whether that case is being run; its level was prepared before, which needs a forward pass too."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "")
    return case in name and name.endswith("(call)")


def pytest_configure() -> None:
    """Watches loading and releasing; p30 cannot be pruned, and one case each of p10, p20 and p60 fails."""
    from transformers.models.llama.modeling_llama import LlamaModel

    from glu_lib.errors import MeasurementError
    from glu_lib.measure.prepared import PreparedModel
    from glu_lib.models.loading import load_model
    from glu_lib.models.pruning import prune

    release, forward = PreparedModel.release, LlamaModel.forward

    def watched_load(*arguments: Any) -> Any:
        note("load")
        return load_model(*arguments)

    def watched_release(self: PreparedModel) -> None:
        release(self)
        note("release")

    def failing_prune(model: Any, pruning: Any, texts: Any) -> Any:
        if pruning.percent == 30:
            raise KeyError("a defect")
        return prune(model, pruning, texts)

    def failing_forward(self: Any, *arguments: Any, **options: Any) -> Any:
        found = forward(self, *arguments, **options)
        if current("p10-facts") or current("p20-narrative"):
            raise IndexError("a defect")
        if current("p60-narrative"):
            raise MeasurementError("impossible figures")
        return found

    patch = pytest.MonkeyPatch()  # never undone: the process ends
    patch.setattr("glu_lib.run.loader.load_model", watched_load)
    patch.setattr("glu_lib.run.preparing.prune", failing_prune)
    patch.setattr(PreparedModel, "release", watched_release)
    patch.setattr(LlamaModel, "forward", failing_forward)
