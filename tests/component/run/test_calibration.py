import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import glu_lib.models
from glu_lib.errors import AccessError, CalibrationError, SettingsError
from glu_lib.nano import TASKS_DIR
from glu_lib.run.calibration import calibration_batches, describe
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, Method
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings


class Words:
    """A tokenizer of one token per word."""

    def __call__(self, text):
        return {"input_ids": [len(word) for word in text.split()]}


def wikitext(pages):
    task = SimpleNamespace(training_docs=lambda: [{"page": page} for page in pages])
    return SimpleNamespace(load=lambda _task, *, seed: {"tasks": {"wikitext": task}})


def test_hub_models_see_the_training_split_of_wikitext():
    batches = calibration_batches(
        STUDY.models["llama1b"], Words(), wikitext(["a bc def"] * 2000), STUDY, Settings()
    ).batches
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(8, 128)] * 4
    assert batches[0]["input_ids"][0, :6].tolist() == [1, 2, 3, 1, 2, 3]
    fixed = r"calibration\.txt, sha256 [0-9a-f]{16}"
    assert re.fullmatch(
        rf"wikitext, training split \(if that is too short: {fixed}\), 32 x 128 tokens",
        describe(STUDY.models["llama1b"], Settings()),
    )


class Letters:
    """A tokenizer of one token per character: the package's text has enough of them."""

    def __call__(self, text):
        return {"input_ids": [ord(letter) for letter in text]}


def test_where_the_training_split_is_too_short_the_packages_text_takes_its_place():
    found = calibration_batches(STUDY.models["llama1b"], Letters(), wikitext(["a bc def"] * 2), STUDY, Settings())
    assert re.fullmatch(r"calibration\.txt, sha256 [0-9a-f]{16}, 4096 tokens", found.source)
    ids = torch.cat([batch["input_ids"] for batch in found.batches])
    assert ids.shape == (32, 128)
    text = (Path(glu_lib.models.__file__).parent / "texts/calibration.txt").read_text(encoding="utf-8")
    assert ids.flatten().tolist() == [ord(letter) for letter in text[: 32 * 128]]


def with_text(tmp_path, text):
    path = tmp_path / "own.txt"
    path.write_text(text, encoding="utf-8")
    return Settings(calibration=path)


def test_the_users_own_text_comes_before_all_others(tmp_path):
    for key in ("llama1b", "nano"):
        batches = calibration_batches(
            STUDY.models[key], Words(), wikitext(["x"]), STUDY, with_text(tmp_path, "a bc def " * 9999)
        ).batches
        assert [tuple(batch["input_ids"].shape) for batch in batches] == [(8, 128)] * 4
        assert batches[0]["input_ids"][0, :6].tolist() == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(("words", "rows"), [(8 * 128, 8), (9 * 128 + 127, 9), (32 * 128 - 1, 31)])
def test_of_an_own_text_the_whole_rows_are_taken(tmp_path, words, rows):
    batches = calibration_batches(STUDY.models["nano"], Words(), None, STUDY, with_text(tmp_path, "a " * words)).batches
    assert sum(len(batch["input_ids"]) for batch in batches) == rows


def test_an_own_text_that_is_too_short_is_one_line(tmp_path):
    chosen = with_text(tmp_path, "a " * (8 * 128 - 1))
    with pytest.raises(CalibrationError) as caught:
        calibration_batches(STUDY.models["nano"], Words(), None, STUDY, chosen)
    assert str(caught.value) == (
        f"calibration of model nano: {chosen.calibration} gives 1023 tokens, at least 1024 are needed; give a longer "
        "text with --calibration"
    )


def test_an_own_text_is_part_of_what_a_case_was_measured_with(tmp_path):
    chosen = with_text(tmp_path, "a b c")
    digest = hashlib.sha256(b"a b c").hexdigest()
    for key in ("nano", "llama1b"):
        assert describe(STUDY.models[key], chosen) == f"own text, sha256 {digest}"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_own_text_that_is_no_text_is_one_line(tmp_path, content):
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        describe(STUDY.models["nano"], Settings(calibration=path))
    message = str(caught.value)
    assert message.startswith(f"--calibration {path}: not a readable text (")
    assert message.endswith("); give a UTF-8 text file")
    assert "\n" not in message


def test_text_that_cannot_be_had_concerns_the_calibrated_method_alone():
    def refuse(_task, *, seed):
        raise AccessError(f"task wikitext: its data cannot be loaded with seed {seed}")

    message = "calibration of model llama1b for method hybrid: task wikitext: its data cannot be loaded"
    with pytest.raises(CalibrationError, match=message):
        calibration_batches(STUDY.models["llama1b"], Words(), SimpleNamespace(load=refuse), STUDY, Settings())


def test_the_embedded_model_sees_generated_text_not_the_items_it_is_scored_on(settings):
    seen = []

    class Recorder(Words):
        def __call__(self, text):
            seen.append(text)
            return super().__call__(text)

    batches = calibration_batches(STUDY.models["nano"], Recorder(), None, STUDY, Settings()).batches
    assert torch.cat([batch["input_ids"] for batch in batches]).shape == (32, 128)
    items = (TASKS_DIR / "narrative.jsonl").read_text()
    assert not any(text in items for text in seen)


def test_the_calibrated_method_has_records_of_its_own(settings):
    case = Case(STUDY.models["nano"], Pruning(40, Method.HYBRID), STUDY.tasks["facts"])
    experiment = Experiment(settings)
    with experiment.levels.prepared(case.model, case.pruning) as prepared:
        record = Session(experiment).measure(case, prepared).as_json()
    assert record["done_key"]["calibration"] == "generator, seed 7, 32 x 128 tokens"
    assert record["case"]["id"] == "nano-p40-hybrid-facts"
