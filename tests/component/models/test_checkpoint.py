"""Checkpoints from anywhere are data: nothing of theirs runs, and a refusal is one line."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from glu_lib.errors import AccessError
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import load_model
from glu_lib.nano import MODEL_DIR
from glu_lib.study import ModelVariant, VariantKind
from glu_lib.study.settings import Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))


@pytest.fixture
def marker(tmp_path):
    """A file that hostile code would write."""
    path = tmp_path / "code was run"
    yield path
    assert not path.exists()


def change(path: Path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def write_evil(folder: Path, marker: Path):
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass Evil: pass\nEvilConfig = Evil\n"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code + "def generate(*args, **kwargs): pass\n")


class Evil:
    """Touches its file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def assert_refused(read, folder, message):
    with pytest.raises(AccessError, match=message) as caught:
        read(folder)
    assert str(caught.value).startswith("model mine (")
    assert "\n" not in str(caught.value)


def or_refused(action):
    """What `action` gives, or None and the refusal, which is one line."""
    try:
        return action(), ""
    except AccessError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None, refusal


AUTO_MAP = {"AutoConfig": "configuration_evil.EvilConfig", "AutoModelForCausalLM": "modeling_evil.Evil"}


def test_code_of_an_architecture_that_transformers_lacks_is_refused(read, folder, marker):
    write_evil(folder, marker)
    change(folder / "config.json", model_type="evil", auto_map=AUTO_MAP)
    assert_refused(read, folder, "cannot be loaded: .* code in the repository is never run")


def test_code_beside_a_known_architecture_is_not_run(read, folder, marker):
    write_evil(folder, marker)
    change(folder / "config.json", auto_map=AUTO_MAP)
    change(folder / "generation_config.json", custom_generate=str(folder))
    model = read(folder)
    assert type(model).__module__.startswith("transformers.")
    assert type(model).__name__ == "LlamaForCausalLM"


@pytest.mark.parametrize("name", ["NoSuchTokenizer", "LlamaTokenizer", "PreTrainedTokenizerFast"])
@pytest.mark.parametrize("both", [True, False], ids=["dict", "list"])
def test_code_of_a_tokenizer_is_not_run(folder, marker, name, both):
    write_evil(folder, marker)
    pair = [None, "tokenization_evil.Evil"]
    change(folder / "tokenizer_config.json", tokenizer_class=name, auto_map={"AutoTokenizer": pair} if both else pair)
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    tokenizer, refusal = or_refused(lambda: load_model(variant, resolve_identity(variant), ENVIRONMENT).tokenizer)
    assert "code in the repository is never run" in refusal or type(tokenizer).__module__.startswith("transformers.")


def test_nobody_is_asked_on_a_terminal(read, folder, marker, monkeypatch):
    write_evil(folder, marker)
    change(folder / "config.json", model_type="evil", auto_map=AUTO_MAP)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "tokenization_evil.Evil"]})
    monkeypatch.setattr("builtins.input", lambda *_question: "y")
    assert_refused(read, folder, "cannot be loaded")


@pytest.mark.parametrize("sharded", [False, True])
def test_a_pickle_is_not_opened(read, folder, marker, sharded):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil(marker)}))
    message = "safetensors weights are needed"
    if sharded:
        index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": "pytorch_model.bin"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        message = (
            r"its model.safetensors.index.json takes weights from 'pytorch_model.bin'; name \*.safetensors files in"
        )
    assert_refused(read, folder, message)


@pytest.mark.parametrize(
    "name", ["../other.safetensors", "/tmp/other.safetensors", "sub/x.safetensors", ".safetensors", 3]
)
@pytest.mark.parametrize("place", ["index", "config", "index of config"])
def test_weights_lie_beside_the_configuration(folder, name, place):
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": name}}
    if place == "index":
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif place == "config":
        change(folder / "config.json", transformers_weights=name)
    else:
        (folder / "own.safetensors.index.json").write_text(json.dumps(index))
        change(folder / "config.json", transformers_weights="own.safetensors.index.json")
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    assert_refused(lambda _: inspect_model(variant, resolve_identity(variant)), folder, "takes weights from .*; name")


def test_a_pickle_that_the_configuration_names_is_not_opened(read, folder, marker):
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"weight": Evil(marker)}))
    change(folder / "config.json", transformers_weights="adapter_model.bin")
    assert_refused(read, folder, "its config.json takes weights from 'adapter_model.bin'; name a")


def test_an_adapter_is_no_model(read, folder, marker):
    other = folder.parent / "other"
    shutil.copytree(MODEL_DIR, other)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(other), "target_modules": ["q_proj"]})
    )
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"weight": Evil(marker)}))
    assert_refused(
        read, folder, "adapter_config.json makes it an adapter of another model; merge it into its base model"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_implementation": "evil/kernel"},
        {"_attn_implementation": "evil/kernel@main:run"},
        {"attn_implementation": {"": "sdpa", "text_config": "evil/kernel"}},
        {"parts": [{"attn_implementation": "flash_attention_2"}]},
        {"attn_implementation": 3},
    ],
    ids=str,
)
def test_no_kernel_is_fetched(folder, fields):
    change(folder / "config.json", **fields)
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    message = r"its config.json sets _?attn_implementation to .*; remove it, or use one of eager, sdpa"
    assert_refused(lambda _: inspect_model(variant, resolve_identity(variant)), folder, message)


def test_attention_of_torch_is_taken(read, folder):
    change(folder / "config.json", attn_implementation="eager")
    assert read(folder).config._attn_implementation == "eager"


def test_quantized_weights_are_refused(read, folder):
    change(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert_refused(read, folder, "its config.json says that it is quantized; only plain weights can be pruned")


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b"null", b"\xff\xfe", b"{", b"[" * 100_000, b'{"a": ' + b"9" * 9999 + b"}"]
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors.index.json"])
def test_json_that_is_none_is_one_line(folder, name, content):
    (folder / name).write_bytes(content)
    variant = ModelVariant("mine", str(folder), VariantKind.BASE, (0,))
    assert_refused(lambda _: inspect_model(variant, resolve_identity(variant)), folder, f"{name}|cannot be loaded")


@pytest.mark.parametrize(
    "fields", [{"model_type": 3}, {"to_dict": 1}, {"auto_map": "x"}, {"architectures": 3, "hidden_size": "x"}]
)
def test_fields_of_any_type_are_one_line_or_harmless(read, folder, marker, fields):
    change(folder / "config.json", **fields)
    or_refused(lambda: read(folder))
