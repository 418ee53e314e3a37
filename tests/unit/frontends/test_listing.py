"""Rows of `glu list`: sizes and downloads."""

import dataclasses

import huggingface_hub
import pytest

from glu_lib.frontends.cli import listing
from glu_lib.results.staleness import CaseState, Status
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO, FACTS = STUDY.models["nano"], STUDY.tasks["facts"]
GGUF = dataclasses.replace(STUDY.models["smol135m"], source="some/one", gguf="one.Q4_1.gguf")


def row(model, percent):
    (found,) = listing.matrix_rows({Case(model, Pruning(percent), FACTS): CaseState(Status.PENDING, None)})
    return found[:4]


def test_a_level_has_a_width_and_its_share():
    assert row(NANO, 40) == ("nano", "p40", "308", "39.8%")


def test_a_checkpoint_with_a_baseline_has_no_share():
    checkpoint = dataclasses.replace(NANO, key="mine", levels=(0,), baseline="nano")
    assert row(checkpoint, 0) == ("mine", "p0", "512", "")


@pytest.fixture
def cached(monkeypatch):
    """The files that the cache holds."""
    names = set()
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda _source, name, **_: name if name in names else None
    )
    return names


def test_a_gguf_model_is_in_the_cache_when_its_file_is(cached):
    cached.add("model.safetensors")
    assert listing.download(GGUF) == "unknown (see: glu validate)"
    cached.add("one.Q4_1.gguf")
    assert listing.download(GGUF) == "none: in the cache"


def test_without_files_the_declared_shape_tells_the_download(cached):
    assert listing.download(STUDY.models["smol135m"]).startswith("about 0.")
    cached.add("model.safetensors")
    assert listing.download(STUDY.models["smol135m"]) == "none: in the cache"
