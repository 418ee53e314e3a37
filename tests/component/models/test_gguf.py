"""Models from GGUF files: the same values as dequantized ones, their own identity, and what is refused."""

import dataclasses
import hashlib
import json
import shutil
import sys

import gguf
import numpy as np
import pytest
import torch
from tiny_gguf import TEMPLATE, write_gguf

from glu_lib.errors import AccessError, StudyError
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import check_unchanged, resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import load_model
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, ModelVariant, VariantKind
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DType, Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))


@pytest.fixture
def variant(tmp_path):
    return ModelVariant("tiny", str(tmp_path / "source"), VariantKind.INSTRUCT, (0, 40), gguf="tiny.gguf")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "source" / "tiny.gguf"


def test_the_loaded_model_computes_what_the_dequantized_values_give(variant, path):
    expected = write_gguf(path)
    loaded = load_model(variant, resolve_identity(variant), ENVIRONMENT)
    text = loaded.tokenizer(" the thing", return_tensors="pt")["input_ids"]
    assert loaded.tokenizer.convert_ids_to_tokens(text[0])[:2] == ["Ġth", "e"]  # merged as the file says
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(text).logits, expected(text).logits)
    assert inspect_model(variant, resolve_identity(variant)).unseen_weights is None


def test_its_identity_is_the_digest_of_the_file_and_its_template_the_files(variant, path):
    write_gguf(path)
    found = resolve_identity(variant)
    assert found.version == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert found.chat_template == hashlib.sha256(TEMPLATE.encode()).hexdigest()
    assert found.stored_as == "dequantized Q4_1"
    path.with_name("chat_template.jinja").write_text("another")  # beside the file: not the file's
    path.with_name("config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert resolve_identity(variant) == found
    assert load_model(variant, found, ENVIRONMENT).tokenizer.chat_template == TEMPLATE
    write_gguf(path, template=None)
    with pytest.raises(AccessError, match="changed during the run"):
        check_unchanged(variant, found)
    assert resolve_identity(variant).chat_template is None


def test_its_shape_is_known_before_loading_so_that_memory_is_checked(variant, path, monkeypatch):
    model = write_gguf(path)
    identity = resolve_identity(variant)
    found = inspect_model(variant, identity).variant.architecture
    assert (found.hidden_size, found.intermediate_size, found.num_layers, found.head_dim) == (64, 96, 2, 32)
    assert found.parameters() == sum(parameter.numel() for parameter in model.parameters())
    monkeypatch.setattr("glu_lib.models.loading.free_bytes", lambda _device: 1000)
    with pytest.raises(AccessError, match="model tiny needs .* GB in float32, but only"):
        load_model(variant, identity, ENVIRONMENT)


def test_a_load_parses_the_header_once_for_each_of_tokenizer_configuration_and_weights(variant, path, monkeypatch):
    """Parsing the header of a real file takes seconds: it holds every token of the vocabulary."""
    write_gguf(path)
    identity = resolve_identity(variant)
    parsed = []

    class Counted(gguf.GGUFReader):
        def __init__(self, *args, **kwargs):
            parsed.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    load_model(variant, identity, ENVIRONMENT)
    assert len(parsed) == 3


def test_a_plain_checkpoint_is_saved_from_it(variant, path, tmp_path):
    write_gguf(path)
    loaded = load_model(variant, resolve_identity(variant), ENVIRONMENT)
    loaded.save(str(tmp_path / "saved"))
    assert "quantization_config" not in json.loads((tmp_path / "saved/config.json").read_text())
    plain = dataclasses.replace(variant, source=str(tmp_path / "saved"), gguf=None)
    again = load_model(plain, resolve_identity(plain), ENVIRONMENT)
    for name, value in loaded.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=0, atol=0)
    assert again.tokenizer.chat_template == TEMPLATE


def test_a_record_says_how_the_weights_were_stored(variant, path, settings):
    from glu_lib.analysis import consolidate, headline_tables

    write_gguf(path)
    experiment = Experiment(settings)
    for percent in (0, 40):
        case = Case(variant, Pruning(percent), STUDY.tasks["lastword"])
        with experiment.levels.prepared(variant, Pruning(percent)) as prepared:
            record = Session(experiment).measure(case, prepared)
        assert record.weights == "dequantized Q4_1"
    assert record.pruning.width == 58
    rows = consolidate(settings.results_dir).rows
    assert {row["weights"] for row in rows} == {"dequantized Q4_1"}
    assert "weights: dequantized Q4_1" in headline_tables(rows)[0].notes


def test_the_untrained_control_has_the_shape_and_other_weights(variant, path):
    write_gguf(path)
    identity = resolve_identity(variant)
    trained = load_model(variant, identity, ENVIRONMENT).model
    untrained = load_model(variant, identity, ENVIRONMENT, is_untrained=True).model
    shapes = {name: value.shape for name, value in trained.state_dict().items()}
    assert {name: value.shape for name, value in untrained.state_dict().items()} == shapes
    assert not torch.equal(trained.lm_head.weight, untrained.lm_head.weight)


def test_unquantized_files_are_named_as_such_and_loaded_in_the_dtype(variant, path):
    write_gguf(path, quantized=False)
    identity = resolve_identity(variant)
    assert identity.stored_as == "F32 from GGUF"
    environment = dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16)
    assert load_model(variant, identity, environment).model.dtype is torch.bfloat16


@pytest.mark.parametrize(
    "more",
    [{"rope_freqs.weight": np.ones(16, np.float32)}, {"llama.rope.scaling.type": "linear"}],
    ids=["tensor", "field"],
)
def test_scaled_rotary_embeddings_are_refused_because_they_would_be_ignored(variant, path, more):
    write_gguf(path, more=more)
    with pytest.raises(AccessError, match="has scaled rotary embeddings, which transformers does not read"):
        resolve_identity(variant)


@pytest.mark.parametrize("reader", [inspect_model, lambda *found: load_model(*found, ENVIRONMENT)])
def test_tensors_that_would_be_left_out_are_refused(variant, path, reader):
    write_gguf(path, more={"blk.0.attn_q.bias": np.ones(64, np.float32)})
    with pytest.raises(AccessError, match=r"tiny\.gguf holds [\d,]+ values, but the model of its header has"):
        reader(variant, resolve_identity(variant))


def test_a_damaged_or_missing_file_is_one_line(variant, path):
    with pytest.raises(AccessError, match="is neither an existing folder nor a hub id"):
        resolve_identity(variant)
    path.parent.mkdir()
    with pytest.raises(AccessError, match=r"has no file tiny\.gguf; correct gguf"):
        resolve_identity(variant)
    path.write_bytes(b"GGUF but not really")
    with pytest.raises(AccessError, match=r"tiny\.gguf cannot be read as a GGUF file \(.*\); download it again"):
        resolve_identity(variant)


def test_without_the_package_one_line_says_what_to_install(variant, path, monkeypatch):
    write_gguf(path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(AccessError, match=r'needs the package gguf.*pip install -e "\.\[gguf\]"'):
        resolve_identity(variant)


@pytest.mark.parametrize("name", ["", "weights.bin", "../x.gguf", "a/b.gguf", ".gguf"])
def test_only_names_of_gguf_files_are_accepted(name):
    with pytest.raises(StudyError, match="is no name of a GGUF file; name a file of the source"):
        ModelVariant("tiny", "somewhere", VariantKind.BASE, (0,), gguf=name)


def test_no_link_is_needed(variant, path, monkeypatch):
    """Windows refuses links to ordinary users: the file is copied there."""
    write_gguf(path)

    def refuse(*_args):
        raise OSError("a privilege is missing")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    copied = []
    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda *args: copied.append(args) or copy(*args))
    load_model(variant, resolve_identity(variant), ENVIRONMENT)
    assert copied
