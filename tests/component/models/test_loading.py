import dataclasses
import json
import shutil

import pytest

from glu_lib.errors import AccessError
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import check_memory, load_model
from glu_lib.models.shapes import check_architecture
from glu_lib.nano import MODEL_DIR
from glu_lib.study import STUDY, ModelVariant, VariantKind
from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType, Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))


def test_a_model_that_does_not_fit_is_refused_before_it_is_fetched(monkeypatch):
    monkeypatch.setattr("glu_lib.models.loading.free_bytes", lambda _device: 3_000_000_000)
    with pytest.raises(AccessError) as caught:
        check_memory(STUDY.models["llama1b"], ENVIRONMENT)
    assert str(caught.value) == (
        "model llama1b needs 4.9 GB in float32, but only 3.0 GB are free on cpu; "
        "free memory, choose a 16-bit --dtype, another --device or a smaller model"
    )
    check_memory(STUDY.models["llama1b"], dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
    ],
    ids=["gpu", "cpu"],
)
def test_a_model_that_does_not_fit_when_it_is_loaded_is_one_line(monkeypatch, error):
    from transformers import AutoModelForCausalLM

    def full(*_args, **_options):
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    nano = STUDY.models["nano"]
    with pytest.raises(AccessError, match="model nano does not fit on cpu in float32; free memory, choose a 16-bit"):
        load_model(nano, resolve_identity(nano), ENVIRONMENT)


def test_only_safetensors_are_read(tmp_path, tiny_llama):
    import torch

    tiny_llama.config.save_pretrained(tmp_path)
    torch.save(tiny_llama.state_dict(), tmp_path / "pytorch_model.bin")
    variant = ModelVariant("pickled", str(tmp_path), VariantKind.BASE, (0,))
    with pytest.raises(AccessError, match=r"model pickled \(.*\) cannot be loaded: .*safetensors weights are needed"):
        load_model(variant, resolve_identity(variant), ENVIRONMENT)


def test_the_number_format_is_the_environments():
    import torch

    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16))
    assert loaded.model.dtype is torch.bfloat16
    assert not loaded.model.training


@pytest.fixture
def saved_nano(tmp_path):
    """A copy of the embedded model as a folder of the user's."""
    folder = tmp_path / "saved"
    shutil.copytree(MODEL_DIR, folder)
    return folder


def test_a_look_at_a_model_gives_its_shape_without_its_weights(saved_nano):
    variant = ModelVariant("mine", str(saved_nano), VariantKind.BASE, (0,))
    model = inspect_model(variant, resolve_identity(variant)).model
    assert model.device.type == "meta"
    assert model.config.intermediate_size == 512


@pytest.mark.parametrize("look", [inspect_model, lambda *found: load_model(*found, ENVIRONMENT)], ids=["look", "load"])
@pytest.mark.parametrize("damage", ["truncated", "no tokenizer", "broken config"])
def test_a_damaged_folder_is_one_line(saved_nano, look, damage):
    if damage == "truncated":
        path = saved_nano / "model.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "no tokenizer":
        for path in saved_nano.glob("tokenizer*"):
            path.unlink()
    else:
        (saved_nano / "config.json").write_text("{")
    variant = ModelVariant("mine", str(saved_nano), VariantKind.BASE, (0,))
    with pytest.raises(AccessError, match=r"model mine \(.*\) cannot be loaded: ") as caught:
        look(variant, resolve_identity(variant))
    assert "\n" not in str(caught.value)


def test_a_shape_that_cannot_say_what_the_model_has_is_refused():
    """Biases are no part of a declared shape: its counts and ratios of parameters would be those of another model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 40, "vocab_size": 32, "head_dim": 8}
    shape = Architecture(
        **sizes,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        tied_embeddings=False,
        max_positions=64,
        rope_theta=10000.0,
    )
    variant = ModelVariant("mine", "some/model", VariantKind.BASE, (0,), architecture=shape)
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    check_architecture(variant, LlamaForCausalLM(LlamaConfig(**sizes, **heads)))
    biased = LlamaForCausalLM(LlamaConfig(**sizes, **heads, attention_bias=True))
    with pytest.raises(
        AccessError, match="of the declared shape has 6,4.. parameters, but the model has 6,.*; remove its"
    ):
        check_architecture(variant, biased)


def test_a_saved_model_has_its_own_limits_of_answers_again(tmp_path, settings):
    shutil.copytree(MODEL_DIR, tmp_path / "own")
    path = tmp_path / "own/generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_new_tokens": 7}))
    variant = ModelVariant("own", str(tmp_path / "own"), VariantKind.BASE, (0,))
    loaded = load_model(variant, resolve_identity(variant), detect_environment(settings))
    assert loaded.model.generation_config.max_new_tokens is None
    loaded.save(str(tmp_path / "saved"))
    assert json.loads((tmp_path / "saved/generation_config.json").read_text())["max_new_tokens"] == 7
    assert loaded.model.generation_config.max_new_tokens is None
