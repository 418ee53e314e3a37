"""A copy of the embedded model, and the two ways in which a model of a folder is read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import load_model
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant, VariantKind
from glu_lib.study.settings import Settings


@pytest.fixture(params=["look", "load"])
def read(request: pytest.FixtureRequest) -> Callable[[Path], Any]:
    """Look at the model of a folder by its headers, or load it, as `validate` and a run do."""

    def read_folder(folder: Path) -> Any:
        variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
        identity = resolve_identity(variant)
        if request.param == "look":
            return inspect_model(variant, identity).model
        return load_model(variant, identity, detect_environment(Settings(device="cpu"))).model

    return read_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded model, whose embeddings are tied, to be changed or made hostile."""
    found = tmp_path / "checkpoint"
    shutil.copytree(MODEL_DIR, found)
    return found
