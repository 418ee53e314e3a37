"""Logits that are no numbers end the case with one line and leave nothing behind; -inf is a value."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from glu_lib.errors import NotFiniteError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.accuracy.sample_checks import check_samples
from glu_lib.measure.scoring.finite import check_choice, check_scores
from glu_lib.measure.scoring.kept import as_score, kept_score
from glu_lib.measure.scoring.language_model import SharedPrefixLM
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.results.store import Store
from glu_lib.results.unfinished import Answers
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Scorer, Settings

NAN, INF = math.nan, math.inf
NANO = STUDY.models["nano"]
TEXT = "please add 1 0 and 2 2 . answer :"
GREEDY = {"until": ["<eos>"], "max_gen_toks": 4, "do_sample": False}
WEIGHTS = r"the weights contain such values \(model\.norm\.weight\): download or create this checkpoint again$"


@pytest.fixture(scope="module")
def loaded():
    return load_model(NANO, resolve_identity(NANO), detect_environment(Settings(device="cpu")))


@pytest.fixture
def model(loaded):
    return copy.deepcopy(loaded.model)


@pytest.fixture(params=["shared", "hf"])
def wrap(request, loaded):
    """Wrap a model for one of the two ways of scoring; `shared` without the self-check, which NaN does not pass."""

    def wrap(model):
        scorer = Scorer.FAST if request.param == "shared" else Scorer.HF
        lm = wrap_model(model, loaded.tokenizer, batch_size=2, scorer=scorer)
        lm._can_share = True
        return lm

    return wrap


@pytest.fixture
def answers(tmp_path, monkeypatch):
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 0)
    store = Store(tmp_path / "results")
    store.check_writable()
    return Answers(store, store.root / "unfinished" / "case.jsonl", {}, {})


def requests(*arguments):
    return [SimpleNamespace(args=found) for found in arguments]


def ask(lm, kind):
    if kind == "loglikelihood":
        return lm.loglikelihood(requests((TEXT, " 3 2"), (f"{TEXT} 3", " 2")), disable_tqdm=True)
    if kind == "loglikelihood_rolling":
        return lm.loglikelihood_rolling(requests((TEXT,), (f"{TEXT} 3 2",)), disable_tqdm=True)
    options = GREEDY | ({"do_sample": True, "temperature": 0.5} if kind == "sampled" else {})
    return lm.generate_until(requests((TEXT, options), (f"{TEXT} 3", options)), disable_tqdm=True)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling", "generate_until", "sampled"])
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_norm_that_is_no_number_is_one_line(wrap, model, answers, kind, value, is_kept):
    with torch.no_grad():
        model.model.norm.weight[3] = value
    lm = wrap(model)
    lm.answers = answers if is_kept else None
    what = "log-probabilities" if kind.startswith("log") else "logits"
    asked = "requests" if kind.startswith("log") else "prompts"
    with pytest.raises(
        NotFiniteError, match=rf"^the {what} of 2 of 2 {asked} in a batch are NaN or infinite; {WEIGHTS}"
    ):
        ask(lm, kind)
    assert not answers.path.exists()
    answers.flush()
    assert not answers.path.exists()


def test_values_that_transformers_would_replace_are_found(loaded, model):
    model.generation_config.remove_invalid_values = True
    with torch.no_grad():
        model.model.norm.weight[3] = NAN
    lm = wrap_model(model, loaded.tokenizer, batch_size=2)
    with pytest.raises(NotFiniteError, match="the logits of 2 of 2 prompts"):
        ask(lm, "generate_until")


def test_only_some_of_a_batch_and_a_later_step(wrap, model, answers):
    """The model breaks where it has read `3`: the first token of one prompt's answer, and part of the other prompt."""
    word = model.get_input_embeddings()

    def breaks(_module, arguments, output):
        return output.masked_fill((arguments[0] == word_of_three)[..., None], NAN)

    lm = wrap(model)
    (word_of_three,) = lm.tok_encode("3")
    before = lm.generate_until(requests((TEXT, GREEDY)), disable_tqdm=True)
    assert before == ["3 2"]
    word.register_forward_hook(breaks)
    lm.answers = answers
    with pytest.raises(NotFiniteError, match=r"logits of 1 of 1 prompts .*; the weights are finite, but activations"):
        lm.generate_until(requests((TEXT, GREEDY)), disable_tqdm=True)
    # In a packed row the broken request spoils the ones beside it: attention's mask cannot add NaN away.
    broken = 2 if isinstance(lm, SharedPrefixLM) else 1
    with pytest.raises(NotFiniteError, match=f"log-probabilities of {broken} of 2 requests"):
        lm.loglikelihood(requests((TEXT, " 2 2"), (f"{TEXT} 3", " 2 2")), disable_tqdm=True)
    kept = [as_score(answer) for answer in answers._known.values()]
    assert all(score is None or math.isfinite(score[0]) for score in kept)


@pytest.mark.parametrize(
    ("dtype", "value", "cause"),
    [
        (torch.float32, 1.0, "the weights are finite, but activations overflow in float32: leave this level or"),
        (
            torch.float32,
            NAN,
            r"the weights contain such values \(0\.weight and 1 more\): download or create this checkpoint again",
        ),
        (torch.float16, 1.0, "the weights are finite, but activations overflow in float16: try --dtype float32"),
        (torch.float16, INF, r"weights are too large for float16 \(0\.weight and 1 more\): try --dtype float32"),
        (
            torch.float16,
            NAN,
            r"the weights contain such values \(0\.weight and 1 more\): download or create this checkpoint again",
        ),
        (
            torch.bfloat16,
            INF,
            r"the weights contain such values \(0\.weight and 1 more\): download or create this checkpoint",
        ),
    ],
)
def test_the_remedy_is_true_for_the_dtype_and_the_weights(dtype, value, cause):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).to(dtype)
    model.dtype = dtype
    for layer in model:
        torch.nn.init.constant_(layer.weight, value)
    with pytest.raises(NotFiniteError, match=rf"^the log-probabilities of 2 of 4 requests in a batch .*; {cause}"):
        check_scores([-1.0, NAN, -INF, INF], model)


@pytest.mark.parametrize(
    ("row", "passes"), [([1, 2], 1), ([-INF, 0], 1), ([-INF] * 2, 0), ([NAN, 9], 0), ([INF, 0], 0)]
)
def test_a_choice_needs_one_finite_logit_and_no_nan(model, row, passes):
    logits = torch.tensor([[0.0, 1.0], row])
    if passes:
        check_choice(logits, logits.argmax(-1), model)
    else:
        with pytest.raises(NotFiniteError, match="the logits of 1 of 2 prompts"):
            check_choice(logits, logits.argmax(-1), model)


def never(model, words, lm):
    """Give the words' tokens a probability of 0."""
    tokens = lm.tok_encode(words)

    def without(_module, _arguments, output):
        output = output.clone()
        output[..., tokens] = -INF
        return output

    model.get_output_embeddings().register_forward_hook(without)


def test_a_token_that_cannot_be_is_a_value_and_is_kept(wrap, model, answers):
    lm = wrap(model)
    never(model, "3", lm)
    lm.answers = answers
    asked = requests((TEXT, " 3 2"), (TEXT, " 2 2"))
    found = lm.loglikelihood(asked, disable_tqdm=True)
    assert found[0] == (-INF, False)
    assert math.isfinite(found[1][0])
    answers.flush()
    assert b"-inf" in answers.path.read_bytes()
    again = Answers(answers.folder, answers.path, {}, {})
    assert sorted(as_score(answer) for answer in again._known.values()) == sorted(found)
    lm.answers = again
    assert lm.loglikelihood(asked, disable_tqdm=True) == found


@pytest.mark.parametrize("score", [(-1.5, True), (-INF, False), (0.0, True)])
def test_a_kept_score_is_json_and_comes_back(score):
    assert as_score(list(kept_score(score))) == score


@pytest.mark.parametrize("answer", [[NAN, True], [INF, True], [-INF, True], ["inf", True], ["nan", False], ["-inf", 1]])
def test_no_other_score_is_taken_up(answer):
    assert as_score(answer) is None


def test_an_option_that_cannot_be_is_not_chosen_and_where_none_can_be_nothing_is_recorded(wrap, model, answers):
    lm, task, library = wrap(model), STUDY.tasks["facts"], TaskLibrary()
    before = evaluate_task(lm, library, task, seed=1, limit=6)
    right = {sample["doc_id"]: int(sample["target"]) for sample in before.samples}
    (part,) = library.load(task, seed=1)["tasks"].values()
    words = {part.eval_docs[number]["choices"][target] for number, target in right.items()}
    never(model, " ".join(words), lm)
    found = evaluate_task(lm, library, task, seed=1, limit=6)
    assert (before.headline.value, found.headline.value) == (1.0, 0.0)
    every = {choice for number in right for choice in part.eval_docs[number]["choices"]}
    never(model, " ".join(every), lm)
    with pytest.raises(
        NotFiniteError,
        match=r"^task facts: all options of 6 of 6 samples have a log-probability of -inf; the model has collapsed "
        r"beyond what this task can tell apart; leave it out at this level$",
    ):
        evaluate_task(lm, library, task, seed=1, limit=6, answers=answers)
    assert not answers.path.exists()


@pytest.mark.parametrize("value", [NAN, np.float32(NAN), [-1.0, NAN], (np.float64(NAN), 3)])
def test_a_metric_of_a_sample_that_is_nan_is_named(value):
    sample = {"filtered_resps": [(-1.0, True)], "metrics": ["acc", "mutual"], "acc": 1.0}
    good, bad = sample | {"mutual": -INF}, sample | {"mutual": value}
    check_samples({"t": [good, good | {"filtered_resps": ["text"]}, good | {"filtered_resps": [-INF]}]})
    with pytest.raises(NotFiniteError, match="^mutual of 1 of 2 samples is NaN; the model has collapsed"):
        check_samples({"t": [good], "u": [bad]})


@pytest.mark.parametrize("scorer", Scorer)
def test_a_case_that_gives_no_numbers_leaves_nothing_and_is_measured_once_the_weights_are_mended(
    tmp_path, monkeypatch, scorer
):
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 0)
    experiment = Experiment(Settings(results_dir=tmp_path, limit=8, threads=1, batch_size=4, scorer=scorer))
    cases = [Case(NANO, Pruning(0), STUDY.tasks[name]) for name in ("facts", "sums", "lastword", "narrative")]
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        norm = prepared.loaded.model.model.norm.weight
        whole = norm.detach().clone()
        for case in cases:
            with torch.no_grad():
                norm[3] = NAN
            with pytest.raises(NotFiniteError, match=rf"^nano-p0, task {case.subject_key}: the log.*; {WEIGHTS}"):
                Session(experiment).measure(case, prepared).as_json()
            assert not [path for path in tmp_path.rglob("*") if path.is_file() and case.id in path.name]
            with torch.no_grad():
                norm.copy_(whole)
            record = Session(experiment).measure(case, prepared).as_json()
            assert record["resumed"] is None
            assert math.isfinite(record["score"]["headline"]["value"])
