from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import AccessError, CalibrationError
from glu_lib.nano import TASKS_DIR
from glu_lib.run.calibration import calibration_batches, describe
from glu_lib.run.experiment import Experiment
from glu_lib.study import STUDY, Method
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning


class Words:
    """A tokenizer of one token per word."""

    def __call__(self, text):
        return {"input_ids": [len(word) for word in text.split()]}


def wikitext(pages):
    task = SimpleNamespace(training_docs=lambda: [{"page": page} for page in pages])
    return SimpleNamespace(load=lambda _task, *, seed: {"tasks": {"wikitext": task}})


def test_hub_models_see_the_training_split_of_wikitext():
    batches = calibration_batches(STUDY.models["llama1b"], Words(), wikitext(["a bc def"] * 2000), STUDY, 1)
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(8, 128)] * 4
    assert batches[0]["input_ids"][0, :6].tolist() == [1, 2, 3, 1, 2, 3]
    assert describe(STUDY.models["llama1b"]) == "wikitext, training split, 32 x 128 tokens"


def test_too_little_text_is_one_line():
    with pytest.raises(CalibrationError, match="training split of wikitext gives 6 tokens, 4096 are needed"):
        calibration_batches(STUDY.models["llama1b"], Words(), wikitext(["a bc def"] * 2), STUDY, 1)


def test_text_that_cannot_be_had_concerns_the_calibrated_method_alone():
    def refuse(_task, *, seed):
        raise AccessError(f"task wikitext: its data cannot be loaded with seed {seed}")

    message = "calibration of model llama1b for method hybrid: task wikitext: its data cannot be loaded"
    with pytest.raises(CalibrationError, match=message):
        calibration_batches(STUDY.models["llama1b"], Words(), SimpleNamespace(load=refuse), STUDY, 1)


def test_the_embedded_model_sees_generated_text_not_the_items_it_is_scored_on(settings):
    seen = []

    class Recorder(Words):
        def __call__(self, text):
            seen.append(text)
            return super().__call__(text)

    batches = calibration_batches(STUDY.models["nano"], Recorder(), None, STUDY, 1)
    assert torch.cat([batch["input_ids"] for batch in batches]).shape == (32, 128)
    items = (TASKS_DIR / "narrative.jsonl").read_text()
    assert not any(text in items for text in seen)


def test_the_calibrated_method_has_records_of_its_own(settings):
    case = Case(STUDY.models["nano"], Pruning(40, Method.HYBRID), STUDY.tasks["facts"])
    experiment = Experiment(settings)
    with experiment.prepared(case.model, case.pruning) as prepared:
        record = experiment.run(case, prepared).as_json()
    assert record["done_key"]["calibration"] == "generator, seed 7, 32 x 128 tokens"
    assert record["case"]["id"] == "nano-p40-hybrid-facts"
