"""What does not fit is counted; what is scored stays HFLM's."""

from types import SimpleNamespace

import pytest
import torch

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Scorer, Settings


@pytest.fixture
def lm():
    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), detect_environment(Settings(device="cpu")))
    return wrap_model(loaded.model, loaded.tokenizer, batch_size=4, scorer=Scorer.HF)


def request(*args):
    return SimpleNamespace(args=args, arguments=args)


def test_prompts_that_lose_their_beginning_are_counted(lm):
    prompt = "please add 1 0 and 2 2 . answer :"
    long = " ".join([prompt] * 40)
    lm.loglikelihood([request(prompt, " 3"), request(long, " 3")], disable_tqdm=True)
    assert lm.truncated_prompts == 1
    lm.reset_counts()
    options = {"until": ["<eos>"], "max_gen_toks": 4, "do_sample": False}
    lm.generate_until([request(prompt, options), request(long, options)], disable_tqdm=True)
    assert lm.truncated_prompts == 1


def test_generations_that_never_stop_are_counted(lm):
    prompt = "please add 1 0 and 2 2 . answer :"
    options = {"until": ["never"], "max_gen_toks": 1, "do_sample": False}
    lm.generate_until([request(prompt, options)], disable_tqdm=True)
    assert lm.cut_generations == 1


def test_a_row_has_stopped_at_the_end_of_text_or_at_a_stop_string(lm):
    answer = lm.tok_encode("3 2")
    assert lm._has_stopped([*answer, lm.eot_token_id], [])
    assert lm._has_stopped(answer, ["2"])
    assert not lm._has_stopped(answer, ["9"])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
    ],
    ids=["gpu", "cpu"],
)
def test_a_batch_that_does_not_fit_is_halved_and_the_task_goes_on(lm, monkeypatch, error):
    task, library = STUDY.tasks["facts"], TaskLibrary()
    whole = evaluate_task(lm, library, task, seed=1, limit=8)
    call = type(lm)._model_call

    def tight(self, inps, **options):
        if inps.shape[0] > 1:
            raise error
        return call(self, inps, **options)

    monkeypatch.setattr(type(lm), "_model_call", tight)
    small = evaluate_task(lm, library, task, seed=1, limit=8)
    assert (whole.batch_size, small.batch_size) == (4, 1)
    assert small.headline.value == whole.headline.value


def test_one_sequence_that_does_not_fit_is_one_line(lm, monkeypatch):
    def full(*_args, **_options):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(type(lm), "_model_call", full)
    with pytest.raises(MeasurementError, match="task facts: out of memory at batch size 1; choose a GPU"):
        evaluate_task(lm, TaskLibrary(), STUDY.tasks["facts"], seed=1, limit=2)
