"""Weights that are not the model's are refused: what is missing would be random, what is left over is another's."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from glu_lib.errors import AccessError
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import ModelIdentity, resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import load_model
from glu_lib.models.weights import stored_tensors
from glu_lib.study import ModelVariant, VariantKind
from glu_lib.study.settings import Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))
UP = "model.layers.1.mlp.up_proj.weight"


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def shard(folder, *, twice=()):
    """Weights in two files with an index, as large checkpoints are saved; `twice` are in both."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for name, members in parts.items():
        save_file({key: tensors[key] for key in (*members, *twice)}, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: name for name, members in parts.items() for key in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def refusal(read, folder):
    with pytest.raises(AccessError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith(f"model mine ({folder}) cannot be loaded: ")
    assert "\n" not in message
    return message.removeprefix(f"model mine ({folder}) cannot be loaded: ")


REMEDY = "; weights and config.json must fit together: correct config.json, or save or download the model again"


def test_a_tensor_that_is_missing_is_named(read, folder):
    change_weights(folder, lambda tensors: tensors.pop(UP))
    assert refusal(read, folder) == f"its weights lack {UP}{REMEDY}"


def test_a_renamed_tensor_is_named_with_the_place_it_leaves_empty(read, folder):
    change_weights(folder, lambda tensors: tensors.update({f"{UP}s": tensors.pop(UP)}))
    assert refusal(read, folder) == f"its weights lack {UP} and contain {UP}s, which the model does not have{REMEDY}"


def test_a_tensor_of_no_place_is_named(read, folder):
    change_weights(folder, lambda tensors: tensors.update({"score.weight": torch.zeros(2, 128)}))
    assert refusal(read, folder) == f"its weights contain score.weight, which the model does not have{REMEDY}"


def test_more_layers_in_the_configuration_than_are_stored(read, folder):
    change_config(folder, num_hidden_layers=12)
    assert refusal(read, folder) == (
        "its weights lack model.layers.4.input_layernorm.weight, model.layers.4.mlp.down_proj.weight, "
        f"model.layers.4.mlp.gate_proj.weight and 69 more{REMEDY}"
    )


def test_fewer_layers_in_the_configuration_than_are_stored(read, folder):
    change_config(folder, num_hidden_layers=3)
    assert refusal(read, folder) == (
        "its weights contain model.layers.3.input_layernorm.weight, model.layers.3.mlp.down_proj.weight, "
        f"model.layers.3.mlp.gate_proj.weight and 6 more, which the model does not have{REMEDY}"
    )


def test_a_shape_that_does_not_fit_is_named_with_both(read, folder):
    change_weights(folder, lambda tensors: tensors.update({UP: torch.zeros(500, 128)}))
    assert refusal(read, folder) == f"its weights contain {UP} as 500×128 instead of 512×128{REMEDY}"


def test_an_output_layer_that_is_not_tied_must_be_there(read, folder):
    change_config(folder, tie_word_embeddings=False)
    assert refusal(read, folder) == f"its weights lack lm_head.weight{REMEDY}"


def test_tied_embeddings_of_which_neither_is_stored(read, folder):
    change_weights(folder, lambda tensors: tensors.pop("model.embed_tokens.weight"))
    assert refusal(read, folder) == f"its weights lack lm_head.weight, model.embed_tokens.weight{REMEDY}"


def test_integers_are_no_weights(read, folder):
    change_weights(folder, lambda tensors: tensors.update({UP: torch.ones(512, 128, dtype=torch.int8)}))
    assert refusal(read, folder) == (
        f"its weights contain {UP} as I8; only floating-point weights can be pruned: name a model with those"
    )


def test_two_tensors_for_one_place_are_named(read, folder):
    change_weights(folder, lambda tensors: tensors.update({"norm.weight": torch.ones(128)}))
    assert "model.norm.weight and norm.weight for the same parameter; keep one" in refusal(read, folder).replace(
        "norm.weight and model.norm.weight", "model.norm.weight and norm.weight"
    )


def test_names_of_a_foreign_file_are_clipped_and_spelled_out(read, folder):
    change_weights(folder, lambda tensors: tensors.update({"\x1b[31m" + "x" * 500: torch.zeros(1)}))
    assert refusal(read, folder) == f"its weights contain \\x1b[31m{'x' * 72}…, which the model does not have{REMEDY}"


def test_shards_are_looked_at_as_well(read, folder):
    shard(folder)
    read(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors" in refusal(read, folder)


def test_a_tensor_that_a_shard_lacks_is_named_whatever_the_index_says(read, folder):
    change_weights(folder, lambda tensors: tensors.pop(UP))
    shard(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"][UP] = "model-00001-of-00002.safetensors"
    path.write_text(json.dumps(index))
    assert refusal(read, folder) == f"its weights lack {UP}{REMEDY}"


def test_a_tensor_in_two_shards_is_named(read, folder):
    shard(folder, twice=["model.norm.weight"])
    assert refusal(read, folder) == "two of its weight files contain model.norm.weight; keep one of them"


def test_tied_tensors_that_differ_are_refused(folder):
    """lm-eval ties them again, the energy workloads would not."""
    change_weights(folder, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"] + 1}))
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    message = (
        "its config.json ties lm_head.weight to model.embed_tokens.weight, but its weights contain different tensors"
    )
    assert message in refusal(lambda _: load_model(variant, resolve_identity(variant), ENVIRONMENT), folder)


def without_prefix(tensors):
    for name in [name for name in tensors if name.startswith("model.")]:
        tensors[name.removeprefix("model.")] = tensors.pop(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda _tensors: None,
        lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}),
        lambda tensors: tensors.update({"lm_head.weight": tensors.pop("model.embed_tokens.weight")}),
        lambda tensors: tensors.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16)}),
        without_prefix,
        lambda tensors: tensors.update({UP: tensors[UP].to(torch.float64)}),
    ],
    ids=["as it is", "with its tied layer", "with the tied layer alone", "old buffers", "of the base model", "float64"],
)
def test_what_transformers_knows_how_to_load_is_taken(read, folder, change):
    change_weights(folder, change)
    read(folder)


def test_an_output_layer_of_its_own_is_taken(read, folder):
    change_config(folder, tie_word_embeddings=False)
    change_weights(folder, lambda tensors: tensors.update({"lm_head.weight": torch.ones(552, 128)}))
    read(folder)


def test_headers_that_the_hub_does_not_give_are_said_to_be_unseen(folder, monkeypatch):
    def no_header(*_args):
        raise OSError("416 Range Not Satisfiable")

    monkeypatch.setattr("glu_lib.models.inspection.check_files", lambda *_args: None)
    monkeypatch.setattr("glu_lib.models.inspection.settled", lambda variant, _identity: variant)
    monkeypatch.setattr("glu_lib.models.inspection.stored_tensors", no_header)
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    found = inspect_model(variant, ModelIdentity(str(folder), "commit:0", None))
    assert found.unseen_weights == "416 Range Not Satisfiable"


def test_a_hub_model_without_network_whose_weights_were_never_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("glu_lib.models.weights.named_weights", lambda *_args: None)
    variant = ModelVariant("far", "some/model", VariantKind.BASE, (0,))
    message = "there is no model.safetensors in the local cache, and no hub answers; safetensors weights are needed"
    with pytest.raises(AccessError, match=message):
        stored_tensors(variant, ModelIdentity("some/model", "commit:0", None, is_offline=True))
