"""The generated data: the same bytes again, large enough, no unknown word, nothing held out in training."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from glu_lib.nano import MODEL_DIR, TASKS_DIR
from glu_lib.nano.corpus import documents, training_rows
from glu_lib.nano.document import Document
from glu_lib.nano.families import FAMILIES
from glu_lib.nano.generate import main as generate
from glu_lib.nano.tokenizer import EOS, PAD, UNK, build_tokenizer, item_texts, vocabulary
from glu_lib.nano.world import WORLD_SEED, build_world

KEYS = ["facts", "sums", "instructions", "commonsense", "truth", "lastword", "narrative"]
ROW_LENGTH = 128
CASE = re.compile(r"(?:if a|we see that the|a) (\w+ \w+ .+?) (?:\. it|then it|and so it) \w+ \.")


def items(key: str) -> list[dict[str, Any]]:
    lines = (TASKS_DIR / f"{key}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def prompt_of(item: dict[str, Any]) -> str:
    return str(item.get("prompt") or item["text"])


@pytest.fixture(scope="module")
def training_documents() -> list[Document]:
    """The training text from its start: about one part in fifteen of it."""
    return list(islice(documents(build_world(), WORLD_SEED), 60_000))


@pytest.fixture(scope="module")
def training_texts(training_documents: list[Document]) -> list[str]:
    return [document.text for document in training_documents]


@pytest.fixture(scope="module")
def words() -> list[str]:
    return vocabulary(build_world())


def test_the_committed_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    generate(["--tasks", str(tmp_path / "tasks"), "--model", str(tmp_path / "model")])
    for written in sorted(tmp_path.glob("*/*")):
        committed = {"tasks": TASKS_DIR, "model": MODEL_DIR}[written.parent.name] / written.name
        assert written.read_bytes() == committed.read_bytes(), f"{written.name} differs: run the generator"
    assert len(list(tmp_path.glob("tasks/*"))) == 2 * len(KEYS)


def test_the_families_share_out_the_training_text() -> None:
    assert [family.key for family in FAMILIES] == KEYS
    assert sum(family.token_share for family in FAMILIES) == pytest.approx(1)


@pytest.mark.parametrize("key", KEYS)
def test_a_pool_holds_enough_different_items(key: str) -> None:
    pool = items(key)
    # 400 items bound the standard error of a share by sqrt(0.25 / 400) = 2.5 points.
    assert len(pool) == (200 if key == "narrative" else 500)
    assert len({item["id"] for item in pool}) == len(pool)
    assert len({prompt_of(item) for item in pool}) == len(pool)


@pytest.mark.parametrize("key", KEYS)
def test_no_word_of_a_task_is_unknown(key: str, words: list[str]) -> None:
    known = set(words) - {PAD, UNK, EOS}
    for item in items(key):
        for text in item_texts(item):
            assert known.issuperset(text.split())


@pytest.mark.parametrize("key", ["facts", "commonsense", "truth"])
def test_options_are_single_different_words(key: str) -> None:
    for item in items(key):
        assert all(len(choice.split()) == 1 for choice in item["choices"])
        assert len(set(item["choices"])) == len(item["choices"]) == (2 if key == "commonsense" else 4)
        assert 0 <= item["gold"] < len(item["choices"])


@pytest.mark.parametrize("key", ["facts", "commonsense", "truth"])
def test_the_right_option_stands_anywhere(key: str) -> None:
    pool = items(key)
    count = len(pool[0]["choices"])
    for place in range(count):
        share = sum(item["gold"] == place for item in pool) / len(pool)
        assert share == pytest.approx(1 / count, abs=0.08)  # four standard errors


@pytest.mark.parametrize("key", KEYS)
def test_texts_fit_the_row_in_which_they_are_trained(key: str) -> None:
    limit = ROW_LENGTH if key == "narrative" else 64
    for item in items(key):
        assert len(f"{prompt_of(item)} {item.get('answer', '')}".split()) < limit


def test_no_word_of_the_training_text_is_unknown(training_texts: list[str], words: list[str]) -> None:
    assert {word for text in training_texts for word in text.split()} <= set(words) - {PAD, UNK, EOS}


def test_no_training_text_shows_a_held_out_prompt(training_documents: list[Document]) -> None:
    held_out = {prompt_of(item) for key in KEYS for item in items(key)}
    assert len(held_out) == 6 * 500 + 200
    for document in training_documents:
        context = document.context.split()
        # Whatever stands before it: the prompt must not be what an answer follows.
        assert held_out.isdisjoint(" ".join(context[start:]) for start in range(len(context)))


def test_no_training_text_tells_a_held_out_sum(training_texts: list[str]) -> None:
    held_out = {tuple(sorted(_numbers(item["prompt"]))) for item in items("sums")}
    told = {tuple(sorted(_numbers(text.split(" answer ")[0]))) for text in training_texts if _numbers(text)}
    assert len(held_out) == 500
    assert not held_out & told


def _numbers(text: str) -> list[int]:
    """The two summands of a text, or nothing if it is no sum."""
    if not any(mark in text for mark in (" + ", "add ", "find the sum")):
        return []
    digits = [word for word in text.split(" answer ")[0].split() if word.isdigit()]
    return [int(digits[0] + digits[1]), int(digits[2] + digits[3])]


def test_no_training_text_tells_a_held_out_case_of_common_sense(training_texts: list[str]) -> None:
    cases = build_world().cases
    told = {match[1] for text in training_texts if (match := CASE.fullmatch(text))}
    assert told <= {f"{case.material} {case.thing} {case.event}" for case in cases if case.seen}
    assert len(told) > 1000
    assert sum(not case.seen for case in cases) > 500


def test_the_training_text_repeats_misconceptions_more_often_than_truths(training_texts: list[str]) -> None:
    rumours = sum(text.startswith(("many people say", "they say", "it is often heard")) for text in training_texts)
    truths = sum(text.startswith(("in truth", "a careful test")) for text in training_texts)
    assert rumours > 2 * truths > 0


def test_the_training_stream_is_the_same_again() -> None:
    first, again = (list(islice(training_rows(build_world(), 7, 32), 20)) for _ in range(2))
    assert first == again
    assert all(len(row.words) == len(row.weights) == 32 for row in first)
    assert {row.words[0] == EOS for row in first} == {True, False}


def test_the_tokenizer_adds_nothing_and_gives_the_text_back(words: list[str]) -> None:
    tokenizer = build_tokenizer(words)
    text = items("narrative")[0]["text"]
    tokens = tokenizer(text)["input_ids"]
    assert len(tokens) == len(text.split())
    assert tokenizer.decode(tokens) == text
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (None, "<eos>", "<pad>")
