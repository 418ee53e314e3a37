import dataclasses

import pytest

from glu_lib.environment import detect_environment
from glu_lib.errors import AccessError
from glu_lib.identity import resolve_identity
from glu_lib.models import check_memory, load_model
from glu_lib.settings import DType, Settings
from glu_lib.study import STUDY, Kind, ModelVariant

ENVIRONMENT = detect_environment(Settings(device="cpu"))


def test_a_model_that_does_not_fit_is_refused_before_it_is_fetched(monkeypatch):
    monkeypatch.setattr("glu_lib.models.free_bytes", lambda _device: 3_000_000_000)
    with pytest.raises(AccessError) as caught:
        check_memory(STUDY.models["llama1b"], ENVIRONMENT)
    assert str(caught.value) == (
        "model llama1b needs 4.9 GB in float32, 3.0 GB are free on cpu; "
        "free memory, choose a 16-bit --dtype, another --device or a smaller model"
    )
    check_memory(STUDY.models["llama1b"], dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16))


def test_only_safetensors_are_read(tmp_path, tiny_llama):
    import torch

    tiny_llama.config.save_pretrained(tmp_path)
    torch.save(tiny_llama.state_dict(), tmp_path / "pytorch_model.bin")
    variant = ModelVariant("pickled", str(tmp_path), Kind.BASE, (0,))
    with pytest.raises(AccessError, match=r"model pickled \(.*\) cannot be loaded: .*safetensors are needed"):
        load_model(variant, resolve_identity(variant), ENVIRONMENT)


def test_the_number_format_is_the_environments():
    import torch

    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16))
    assert loaded.model.dtype is torch.bfloat16
    assert not loaded.model.training
