"""Shapes from a model's own configuration: the right number of parameters, or none."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glu_lib.errors import AccessError
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.models.own_shapes import own_shape_keys, settled, with_own_shapes
from glu_lib.models.pruning import prune
from glu_lib.models.shapes import build_on_meta, count_parameters
from glu_lib.nano import MODEL_DIR
from glu_lib.study import STUDY, ModelVariant, VariantKind
from glu_lib.study.architecture import FAMILIES
from glu_lib.study.builtin_models import NANO
from glu_lib.study.own_shape import shape_of
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 50,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "pad_token_id": None,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


# The study does not declare the epsilon, which changes no size.
OWN_NANO = dataclasses.replace(NANO, rms_norm_eps=1e-6)


def configured(config):
    """The model that transformers builds from a config.json, on the meta device; None if it cannot."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = dict(config)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    except Exception:  # a configuration that transformers refuses has no right number
        return None


def written(family, **fields):
    """A config.json as transformers writes it."""
    from transformers import AutoConfig

    return json.loads(AutoConfig.for_model(family, **(SMALL | fields)).to_json_string())


CASES = [(family, fields) for family in FAMILIES for fields in ({}, {"tie_word_embeddings": True}, {"head_dim": 8})]
CASES += [(family, {"attention_bias": True}) for family in FAMILIES]
CASES += [(family, {"tie_word_embeddings": False}) for family in FAMILIES]


@pytest.mark.parametrize(("family", "fields"), CASES)
def test_a_shape_has_the_parameters_of_transformers_model(family, fields):
    config = written(family, **fields)
    shape = shape_of(config)
    assert shape.parameters() == count_parameters(configured(config))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_the_shape_can_be_pruned_without_weights(family):
    shape = shape_of(written(family))
    result = prune(build_on_meta(shape), Pruning(40))
    assert result.parameters == shape.parameters(result.widths)
    assert set(result.widths) == {48}


LEFT_OUT = st.sets(st.sampled_from(["tie_word_embeddings", "attention_bias", "rope_parameters", "model_type", *SMALL]))
GIVEN = st.dictionaries(
    st.sampled_from(["tie_word_embeddings", "attention_bias", "mlp_bias", "head_dim", "num_key_value_heads"]),
    st.sampled_from([None, True, False, 0, 1, 8, 64, "x"]),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), LEFT_OUT, GIVEN)
def test_what_is_missing_or_odd_gives_the_right_number_or_none(family, left_out, given_fields):
    config = {name: value for name, value in (written(family) | given_fields).items() if name not in left_out}
    shape = shape_of(config)
    if shape is not None and (model := configured(config)) is not None:
        assert shape.parameters() == count_parameters(model)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": ["llama"]},
        written("llama") | {"num_hidden_layers": 10**12},
        written("llama") | {"hidden_size": True},
        written("llama") | {"hidden_size": 32.0},
        written("llama") | {"num_attention_heads": -4},
        written("llama") | {"num_key_value_heads": 3},
        written("llama") | {"mlp_bias": True},
        written("llama") | {"per_layer_config": {"0": {"intermediate_size": 40}}},
        written("llama") | {"quantization_config": {"bits": 4}},
        written("llama") | {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0]}},
        {"model_type": "gemma3", "text_config": written("gemma2")},
        *({**SMALL, "model_type": name} for name in ("mixtral", "qwen2_moe", "qwen3_moe", "phi3", "gpt2", "olmo2")),
    ],
)
def test_what_a_shape_cannot_say_gives_none(config):
    assert shape_of(config) is None


def test_the_embedded_model_has_its_declared_shape():
    own = shape_of(json.loads((MODEL_DIR / "config.json").read_text()))
    assert own == OWN_NANO
    assert repr(own) == repr(OWN_NANO)  # a model whose shape is no longer declared keeps its records


def test_the_text_in_done_keys_names_what_is_no_llamas():
    assert "family" not in repr(NANO)
    assert "attention_bias" not in repr(NANO)
    assert repr(shape_of(written("qwen2"))).endswith("family='qwen2')")
    assert repr(shape_of(written("llama", attention_bias=True))).endswith("attention_bias=True)")


def own(source, **fields):
    return ModelVariant("mine", str(source), VariantKind.BASE, (0, 40), **fields)


@pytest.fixture
def folder(tmp_path):
    """A copy of the embedded model."""
    for path in MODEL_DIR.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_folder_gives_its_shape_without_being_loaded(folder):
    study = dataclasses.replace(STUDY, models={**STUDY.models, "mine": own(folder)})
    found = with_own_shapes(study)
    assert found.models["mine"].architecture == OWN_NANO
    assert own_shape_keys(found) == ["mine"]
    assert with_own_shapes(study, only=()) == study
    (folder / "config.json").write_text("[")
    assert with_own_shapes(study).models["mine"].architecture is None


def cached(home, config):
    """The hub's cache as after a download of config.json."""
    repository = home / "models--org--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(config))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)


def test_a_hub_model_has_a_shape_as_soon_as_its_configuration_is_cached(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    study = dataclasses.replace(STUDY, models={**STUDY.models, "mine": own("org/tiny"), "odd": own("no/hub/id")})
    assert own_shape_keys(with_own_shapes(study)) == []
    cached(tmp_path, written("qwen3"))
    assert with_own_shapes(study).models["mine"].architecture == shape_of(written("qwen3"))
    (tmp_path / "models--org--tiny" / "refs" / "main").unlink()
    assert own_shape_keys(with_own_shapes(study)) == []


def test_memory_is_checked_by_the_configuration_before_weights_are_read(folder, monkeypatch):
    monkeypatch.setattr("glu_lib.models.loading.free_bytes", lambda _device: 1_000_000)
    (folder / "model.safetensors").write_bytes(b"no weights")
    variant = own(folder)
    with pytest.raises(AccessError, match=r"model mine needs 0.0 GB in float32, but only 0.0 GB are free"):
        load_model(variant, resolve_identity(variant), detect_environment(Settings(device="cpu")))


def test_a_declared_shape_that_contradicts_the_configuration_is_one_line_before_loading(folder):
    (folder / "model.safetensors").write_bytes(b"no weights")
    variant = own(folder, architecture=dataclasses.replace(NANO, num_layers=5))
    with pytest.raises(AccessError, match=r"model mine: the study declares num_layers 5, the weights have 4; correct"):
        load_model(variant, resolve_identity(variant), detect_environment(Settings(device="cpu")))


def test_a_declared_llama_that_is_another_family_is_one_line(folder):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "qwen2"}
    (folder / "config.json").write_text(json.dumps(config))
    variant = own(folder, architecture=NANO)
    with pytest.raises(AccessError, match=r"a Llama of the declared shape has 1,054,848 parameters, but the model has"):
        settled(variant, resolve_identity(variant))
    assert settled(own(folder), resolve_identity(variant)).architecture.family == "qwen2"
