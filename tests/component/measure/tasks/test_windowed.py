"""Token perplexity in windows is that of a plain loop, with either scorer and on any model."""

import dataclasses
import math
from types import SimpleNamespace

import datasets
import pytest
import torch

from glu_lib.errors import MeasurementError, StudyError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.accuracy.score_case import check_evaluation, task_fields
from glu_lib.measure.scoring.encoding import Encodings
from glu_lib.measure.tasks import corpora
from glu_lib.measure.tasks.task_library import TaskLibrary, task_data_digest
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.nano import TASKS_DIR
from glu_lib.study import STUDY
from glu_lib.study.settings import Scorer, Settings

NANO = STUDY.models["nano"]
WIKITEXT2 = STUDY.tasks["wikitext2_2048"]


@pytest.fixture(scope="module")
def loaded():
    return load_model(NANO, resolve_identity(NANO), detect_environment(Settings(device="cpu")))


@pytest.fixture
def rows(monkeypatch):
    """Rows of a data set in place of the hub's; the calls are kept."""
    texts = datasets.load_dataset("json", data_files=str(TASKS_DIR / "narrative.jsonl"), split="train")["text"][:60]
    calls = []

    def load_dataset(path, name, *, split, revision, data_files):
        calls.append((path, name, split, revision, data_files))
        return datasets.Dataset.from_dict({"text": texts, "sentence": texts})

    monkeypatch.setattr(corpora, "load_dataset", load_dataset)
    return SimpleNamespace(texts=texts, calls=calls)


def in_windows(window, name="wikitext2"):
    return dataclasses.replace(STUDY.tasks[f"{name}_2048"], window=window)


def evaluate(loaded, task, *, scorer=Scorer.FAST, limit=None, library=None, encodings=None, batch_size=2):
    lm = wrap_model(loaded.model, loaded.tokenizer, batch_size=batch_size, scorer=scorer, encodings=encodings)
    return evaluate_task(lm, library or TaskLibrary(), task, seed=1, limit=limit)


def plain_loop(model, ids, window):
    """The recipe of the papers: exp of the mean loss over whole windows, each scored alone in one forward pass."""
    losses = []
    for start in range(0, len(ids) // window * window, window):
        piece = torch.tensor(ids[start : start + window])[None]
        with torch.no_grad():
            logits = model(piece).logits[0, :-1].double()
        losses.append(torch.nn.functional.cross_entropy(logits, piece[0, 1:]).item())
    return math.exp(sum(losses) / len(losses)), len(losses)


@pytest.mark.parametrize("scorer", Scorer)
@pytest.mark.parametrize("window", [2, 64, 100, 256])
def test_the_perplexity_is_that_of_a_plain_loop(loaded, rows, scorer, window):
    task = in_windows(window)
    found = evaluate(loaded, task, scorer=scorer, limit=None if window > 2 else 40)
    ids = loaded.tokenizer("\n\n".join(rows.texts)).input_ids
    expected, count = plain_loop(loaded.model, ids if window > 2 else ids[: 40 * window], window)
    assert found.headline.value == pytest.approx(expected, rel=1e-5)  # float32 sums in another order
    assert (found.count, found.expected, found.window_tokens) == (count, count, window)
    assert (found.truncated_prompts, found.task_versions) == (0, {"wikitext2_windows": "1.0"})
    check_evaluation(task, found, None if window > 2 else 40)
    assert task_fields(task, found)["window_tokens"] == window


def test_special_tokens_stand_once_at_the_beginning_of_the_text(loaded, rows):
    """As the papers' tokenizer call puts them; not before each window."""
    tokenizer = loaded.tokenizer
    lm = wrap_model(loaded.model, tokenizer, batch_size=2)
    asked = []
    lm.tok_encode = lambda text, **options: asked.append(options) or tokenizer(text).input_ids
    assert lm.whole_text("a text").tolist() == tokenizer("a text").input_ids
    assert asked == [{"add_special_tokens": True}]


def test_a_window_of_the_context_has_the_models_length(loaded, rows):
    found = evaluate(loaded, in_windows("context"), limit=2)
    assert found.window_tokens == loaded.model.config.max_position_embeddings == 256
    assert found.headline.value == evaluate(loaded, in_windows(256), limit=2).headline.value


def test_windows_are_items_with_blind_answers(loaded, rows):
    """They pair across levels, and hold the unigram control over the scored tokens of the other windows."""
    task, encodings = in_windows(64), Encodings()
    found = evaluate(loaded, task, encodings=encodings)
    size = loaded.model.config.vocab_size
    assert {sample["token_perplexity"][1] for sample in found.samples} == {63}
    for sample in found.samples:
        assert sample["controls"]["flat"] == [pytest.approx(-63 * math.log(size)), 63]
        assert -63 * math.log(size) < sample["controls"]["unigram"][0] < sample["token_perplexity"][0]
    assert len({sample["doc_hash"] for sample in found.samples}) == found.count
    again = evaluate(loaded, task, encodings=encodings)
    assert again == found


def test_levels_share_windows_and_other_windows_are_cut_anew(loaded, rows):
    library, encodings = TaskLibrary(), Encodings()
    first = evaluate(loaded, in_windows(64), library=library, encodings=encodings)
    (task,) = library.load(in_windows(64), seed=1)["tasks"].values()
    requests = list(task.instances)
    assert evaluate(loaded, in_windows(64), library=library, encodings=encodings) == first
    assert all(a is b for a, b in zip(requests, task.instances, strict=True))
    other = evaluate(loaded, in_windows(128), library=library, encodings=encodings)
    assert other.count == first.count // 2
    assert evaluate(loaded, in_windows(64), library=library, encodings=encodings) == first


def test_each_corpus_is_read_as_the_papers_read_it(loaded, rows):
    counts = {name: evaluate(loaded, in_windows(32, name), limit=3).count for name in ("wikitext2", "c4", "ptb")}
    assert counts == dict.fromkeys(("wikitext2", "c4", "ptb"), 3)
    assert rows.calls == [
        ("Salesforce/wikitext", "wikitext-2-raw-v1", "test", None, None),
        ("allenai/c4", None, "validation", None, {"validation": "en/c4-validation.00000-of-00008.json.gz"}),
        ("ptb-text-only/ptb_text_only", None, "test", "refs/convert/parquet", {"test": "penn_treebank/test/*.parquet"}),
    ]


def test_c4_is_its_first_documents_and_at_most_256_windows(loaded, rows):
    (task,) = TaskLibrary().load(in_windows(2, "c4"), seed=1)["tasks"].values()
    (whole,) = task.eval_docs
    assert whole["text"] == " ".join(rows.texts[:1100])
    lm = wrap_model(loaded.model, loaded.tokenizer, batch_size=2)
    assert task.cut(lm, 2)
    assert len(task.eval_docs) == 256 < len(loaded.tokenizer(whole["text"]).input_ids) // 2
    documents = corpora.load(path="x", split="test", column="text", joined_by="|", documents=3)["test"]
    assert documents["text"][0] == "|".join(rows.texts[:3])


def test_a_window_must_fit_the_context_and_the_text_a_window(loaded, rows):
    with pytest.raises(MeasurementError, match="windows have 2048 tokens, and the model's context has 256; choose a"):
        evaluate(loaded, WIKITEXT2)
    rows.texts[:] = ["short"]
    with pytest.raises(MeasurementError, match="the text has [0-9]+ tokens, less than one window of 256; choose a"):
        evaluate(loaded, in_windows("context"))


@pytest.mark.parametrize("window", [0, 1, "2048", True])
def test_a_window_is_a_number_of_tokens_or_the_context(window):
    with pytest.raises(StudyError, match='must be at least 2 tokens, or "context"'):
        in_windows(window)


def test_a_window_belongs_to_tasks_with_windows():
    library = TaskLibrary()
    with pytest.raises(StudyError, match="takes no window; remove window"):
        library.check_known(dataclasses.replace(STUDY.tasks["wikitext"], window=2048))
    with pytest.raises(StudyError, match="its text is scored in windows; set window = 2048"):
        library.check_known(in_windows(None))
    library.check_known(WIKITEXT2)


def test_the_definition_is_part_of_what_was_measured():
    digests = {task_data_digest(STUDY.tasks[f"{name}_2048"]) for name in ("wikitext2", "c4", "ptb")}
    assert len(digests) == 3
    assert None not in digests
