"""Tokenizers that lack what their model's cases need: each case that needs it says so, and no other is refused."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from glu_lib.errors import AccessError, CalibrationError, MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.energy.prompts import tokenized_batches
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.identity import resolve_identity
from glu_lib.models.inspection import inspect_model
from glu_lib.models.loading import load_model
from glu_lib.models.vocabulary import NO_BEGINNING, NO_END, NO_FILLER, TextCheck, check_vocabulary, settle_filler
from glu_lib.nano import MODEL_DIR
from glu_lib.run.calibration import calibration_batches
from glu_lib.run.experiment import Experiment
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, ModelVariant, Suite, VariantKind
from glu_lib.study.settings import Scorer, Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))
LIBRARY = TaskLibrary()
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@pytest.fixture
def saved(tmp_path):
    """The embedded model with the special tokens that are asked for and no other, as a folder."""

    def make(**tokens):
        folder = tmp_path / "saved"
        shutil.copytree(MODEL_DIR, folder)
        path = folder / "tokenizer_config.json"
        kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in SPECIAL}
        path.write_text(json.dumps(kept | tokens))
        return folder

    return make


def variant_of(folder):
    return ModelVariant("mine", str(folder), VariantKind.BASE, (0,))


def load(folder):
    variant = variant_of(folder)
    return load_model(variant, resolve_identity(variant), ENVIRONMENT)


def score(loaded, task, scorer):
    lm = wrap_model(loaded.model, loaded.tokenizer, batch_size=4, scorer=scorer)
    found = evaluate_task(lm, LIBRARY, STUDY.tasks[task], seed=1, limit=4)
    return [(value.metric, value.value) for value in found.metrics]


def batches(loaded, size):
    workload = next(
        found for found in STUDY.workloads.values() if found.prompts == "facts" and (found.batch_size > 1) == (size > 1)
    )
    return tokenized_batches(loaded, workload, 1, ["is", "is it", "the"] * 20, 4)


@pytest.mark.parametrize("scorer", Scorer)
@pytest.mark.parametrize("task", ["facts", "narrative", "sums"])
def test_without_bos_and_eos_nothing_is_scored(saved, scorer, task):
    loaded = load(saved(unk_token="<unk>", pad_token="<pad>"))
    with pytest.raises(MeasurementError) as caught:
        score(loaded, task, scorer)
    assert str(caught.value).endswith(NO_END if task == "sums" else NO_BEGINNING)
    assert len(batches(loaded, 8)) == 1


@pytest.mark.parametrize("scorer", Scorer)
def test_without_eos_only_generated_answers_are_refused(saved, scorer):
    loaded, nano = load(saved(bos_token="<eos>")), load(MODEL_DIR)
    with pytest.raises(MeasurementError) as caught:
        score(loaded, "sums", scorer)
    assert str(caught.value).endswith(NO_END)
    assert score(loaded, "facts", scorer) == score(nano, "facts", scorer)
    assert len(batches(loaded, 8)) == 1


@pytest.mark.parametrize("scorer", Scorer)
@pytest.mark.parametrize("pad", [{}, {"pad_token": "<new>"}], ids=["none", "beyond the embedding"])
@pytest.mark.parametrize("unk", [{}, {"unk_token": "<unk>"}], ids=["no UNK", "UNK"])
def test_what_fills_batches_up_is_a_token_that_the_embedding_has(saved, scorer, pad, unk):
    loaded, nano = load(saved(eos_token="<eos>", **pad, **unk)), load(MODEL_DIR)
    assert loaded.tokenizer.pad_token == ("<unk>" if unk else "<eos>")
    for task in ("sums", "facts"):
        assert score(loaded, task, scorer) == score(nano, task, scorer)


def test_without_any_special_token_only_batches_are_refused(saved):
    loaded = load(saved())
    assert len(batches(loaded, 1)) == 4
    with pytest.raises(MeasurementError) as caught:
        batches(loaded, 8)
    assert str(caught.value).endswith(NO_FILLER)


def cut_embedding(folder, rows):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:rows].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": rows}))


@pytest.mark.parametrize(
    "look", [inspect_model, lambda *found: load_model(*found, ENVIRONMENT)], ids=["validate", "run"]
)
def test_words_beyond_the_embedding_are_another_models(saved, look):
    folder = saved(eos_token="<eos>")
    cut_embedding(folder, 550)
    variant = variant_of(folder)
    with pytest.raises(AccessError) as caught:
        look(variant, resolve_identity(variant))
    assert str(caught.value) == (
        f"model mine ({folder}) cannot be loaded: its tokenizer has tokens without a row in the embedding of "
        "550 rows (2, the first is 'zither', id 550); use the tokenizer that belongs to these weights"
    )


def fast(model, **tokens):
    return PreTrainedTokenizerFast(tokenizer_object=model, **tokens)


def words(**tokens):
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<eos>": 2}))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return fast(backend, **tokens)


def test_a_bos_beyond_the_embedding_is_refused_where_every_text_begins_with_it():
    tokenizer = words(bos_token="<new>")
    check_vocabulary(STUDY.models["nano"], tokenizer, 3)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<new> $A", special_tokens=[("<new>", 3)])
    with pytest.raises(AccessError, match=r"the first is '<new>', id 3\); use the tokenizer that belongs to these"):
        check_vocabulary(STUDY.models["nano"], tokenizer, 3)


@pytest.mark.parametrize("scorer", Scorer)
def test_a_bos_beyond_the_embedding_is_refused_where_a_text_has_no_context(saved, scorer):
    loaded, nano = load(saved(bos_token="<new>", eos_token="<eos>")), load(MODEL_DIR)
    assert score(loaded, "facts", scorer) == score(nano, "facts", scorer)
    with pytest.raises(
        MeasurementError, match=r"a text contains the token '<new>' \(id 552\), and the embedding has only 552"
    ):
        score(loaded, "narrative", scorer)


def test_an_added_token_beyond_the_embedding_is_refused_in_a_text():
    tokenizer = words()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    check = TextCheck.of(tokenizer, 3)
    check.check_ids(tokenizer("a b")["input_ids"])
    with pytest.raises(MeasurementError) as caught:
        check.check_ids(tokenizer("a <image> b")["input_ids"])
    assert str(caught.value) == (
        "a text contains the token '<image>' (id 3), and the embedding has only 3 rows; use the tokenizer that "
        "belongs to these weights, or leave out tasks and workloads with such texts for this model"
    )


@pytest.mark.parametrize("scorer", Scorer)
def test_neither_scorer_gives_the_model_a_token_that_it_has_not(scorer):
    loaded = load(MODEL_DIR)
    loaded.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    lm = wrap_model(loaded.model, loaded.tokenizer, batch_size=4, scorer=scorer)
    message = r"a text contains the token '<image>' \(id 552\), and the embedding has only 552"
    with pytest.raises(MeasurementError, match=message):
        lm.tok_encode("is <image>")
    request = SimpleNamespace(args=("is <image>", {"until": ["."], "max_gen_toks": 4}))
    with pytest.raises(MeasurementError, match=message):
        lm.generate_until([request], disable_tqdm=True)


def characters(*, metaspace=False):
    backend = Tokenizer(models.BPE({"▁": 0, "a": 1, "b": 2}, merges=[]))
    if metaspace:
        backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return fast(backend)


@pytest.mark.parametrize("metaspace", [False, True])
def test_a_sign_that_would_be_left_out_of_a_text_is_named(metaspace):
    tokenizer = characters(metaspace=metaspace)
    check = TextCheck.of(tokenizer, 3)
    with check.encoding("a b"):
        tokenizer("a b")
    with pytest.raises(MeasurementError) as caught, check.encoding("a é b"):
        tokenizer("a é b")
    assert str(caught.value) == (
        "the tokenizer has no token for 'é' and no UNK token, and would drop it from 'a é b'; give it an UNK token, "
        "or leave out tasks and workloads with such texts for this model"
    )


def test_a_sign_that_a_tokenizer_refuses_itself_is_one_line():
    tokenizer = words()
    check = TextCheck.of(tokenizer, 3)
    assert not check.drops_signs
    with pytest.raises(MeasurementError) as caught, check.encoding("a c"):
        tokenizer("a c")
    assert str(caught.value) == (
        "the tokenizer cannot encode 'a c' (WordLevel error: Missing [UNK] token from the vocabulary); give it an UNK "
        "token, or leave out tasks and workloads with such texts for this model"
    )


def test_calibration_text_that_cannot_be_encoded_concerns_its_method_alone():
    with pytest.raises(CalibrationError, match="model nano for method hybrid: the tokenizer cannot"):
        calibration_batches(STUDY.models["nano"], words(), LIBRARY, STUDY, Settings())


def test_a_tokenizer_with_unk_needs_no_look_at_each_text():
    check = TextCheck.of(load(MODEL_DIR).tokenizer, 552)
    assert (check.drops_signs, check.beyond) == (False, {})


def test_bytes_stand_for_every_sign():
    signs = {sign: number for number, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(signs, merges=[]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    assert not TextCheck.of(fast(backend), 256).drops_signs


def test_a_pad_token_that_the_embedding_has_stays():
    tokenizer = words(pad_token="b", eos_token="<eos>")
    settle_filler(tokenizer, 3)
    assert tokenizer.pad_token == "b"


@pytest.mark.parametrize(
    ("tokens", "problems"),
    [
        ({"eos_token": "<eos>"}, []),
        ({"bos_token": "<eos>"}, [f"{NO_END}: sums"]),
        ({"pad_token": "<pad>"}, [NO_BEGINNING]),
        ({}, [NO_BEGINNING, f"{NO_FILLER}: hellaswag_throughput_b8"]),
    ],
    ids=["EOS", "BOS", "PAD", "none"],
)
def test_validate_says_which_tasks_and_workloads_cannot_be(saved, tmp_path, tokens, problems):
    variant = variant_of(saved(**tokens))
    workloads = ("hellaswag_latency_b1", "hellaswag_throughput_b8")
    suite = Suite("own", "", ("mine",), tasks=("facts", "sums"), workloads=workloads)
    study = dataclasses.replace(STUDY, models={"mine": variant}, suites={"own": suite})
    experiment = Experiment(Settings(results_dir=tmp_path / "results", device="cpu"), study)
    found = list(validate(experiment, [experiment.study.models["mine"]]))
    assert [finding.text for finding in found if not finding.is_fine] == problems
