import json
import math
import random
import shutil
import zlib

import pytest

from glu_lib.errors import RecordError
from glu_lib.measure.scoring.kept import as_score, as_tokens
from glu_lib.results.store import Store
from glu_lib.results.unfinished import Answers, request_key

BINDING = {"done_key": {"few-shot": 0, "divisor": None}, "scorer": "fast"}


@pytest.fixture
def reopen(tmp_path, monkeypatch):
    """A new run's answers of one case; each batch reaches the disk at once."""
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 0)
    store = Store(tmp_path / "results")
    store.check_writable()

    def make(binding=BINDING, **options):
        path = store.root / "unfinished" / "nano" / "p40" / "case.jsonl"
        return Answers(store, path, binding, {"started_at": "2026", "device": "cpu"}, **options)

    return make


def test_a_request_is_known_by_what_it_asks():
    keys = [request_key([1, 2], [3]), request_key([1], [2, 3]), request_key([1, 2, 3]), request_key([1, 2], "3")]
    assert len(set(keys)) == 4
    assert request_key((1, 2), (3,)) == keys[0]


def test_another_run_finds_what_was_answered_and_says_whose_it_is(reopen):
    first = reopen()
    assert first.resumed() is None
    first.put({"a": [-1.25, True], "b": [-0.1, False]})
    first.put({"c": [3, 4]}, batch_size=16)
    second = reopen()
    assert [second.get(key) for key in "abcd"] == [[-1.25, True], [-0.1, False], [3, 4], None]
    assert second.batch_size == 16
    resumed = second.resumed()
    assert (resumed["answers"], resumed["continued"], len(resumed["runs"])) == (3, 0, 1)
    assert resumed["seconds"] == resumed["runs"][0]["seconds"] >= 0
    assert resumed["runs"][0] | {"seconds": 0} == {"started_at": "2026", "device": "cpu", "seconds": 0, "answers": 3}
    second.put({"d": [5]})
    third = reopen()
    assert [run["answers"] for run in third.resumed()["runs"]] == [3, 1]
    third.remove()
    assert reopen().resumed() is None


def test_generations_go_on_from_the_tokens_they_had(reopen):
    first = reopen()
    first.put_begun({"a": [1, 2], "b": [9]})
    first.put_begun({"a": [1, 2, 3, 4], "b": [9]})
    written = first.path.read_text().splitlines()
    news = json.loads(written[-1].split(" ", 1)[1])["begun"]
    assert news == {"a": [2, request_key([1, 2]), 3, 4]}  # only what is new, and after what
    second = reopen()
    assert (second.begun("a"), second.begun("b"), second.begun("c")) == ([1, 2, 3, 4], [9], [])
    assert second.resumed()["continued"] == 2
    second.put_begun({"a": [1, 5]})  # begun again, in a smaller batch
    assert reopen().begun("a") == [1, 5]
    second.put({"a": [1, 5, 6]})
    assert reopen().resumed()["continued"] == 2  # made by two runs, answered or not


def test_a_lost_line_of_a_generation_leaves_no_hole(reopen):
    """What is new is told after what was there: without that, the tokens that follow are no continuation."""
    first = reopen()
    for count in (3, 5, 7):
        first.put_begun({"a": list(range(count)), "b": [9] * count})
    lines = first.path.read_bytes().splitlines(keepends=True)
    for lost in range(2, 5):
        damaged = [b"x" + line[1:] if place == lost else line for place, line in enumerate(lines)]
        first.path.write_bytes(b"".join(damaged))
        found = reopen().begun("a")
        assert found == list(range(len(found)))
        assert len(found) == {2: 0, 3: 0, 4: 5}[lost]


def test_a_generation_that_two_runs_made_is_counted_in_the_runs_after_them(reopen):
    reopen().put_begun({"a": [1, 2]})
    second = reopen()
    second.put({"a": [1, 2, 3], "b": [4]})
    assert second.resumed()["continued"] == 1
    third = reopen()
    assert (third.resumed()["continued"], third.resumed()["answers"]) == (1, 2)


def test_what_earlier_runs_tell_of_themselves_is_text_of_known_names(reopen):
    first = reopen()
    text = json.dumps({"run": {"device": "\x1b[31m", "evil": "x"}}).encode()
    first.put({"a": [1.0, True]})
    with first.path.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    assert reopen().resumed()["runs"][1] == {"started_at": "None", "device": "\\x1b[31m", "seconds": 0.0, "answers": 0}


def test_answers_to_another_question_are_not_taken_and_are_replaced(reopen):
    reopen().put({"a": [1.0, True]})
    other = reopen({"done_key": {"few-shot": 5, "divisor": None}, "scorer": "fast"})
    assert other.get("a") is None
    other.put({"b": [2.0, True]})
    assert reopen().get("a") is None
    assert reopen(other.binding).get("b") == [2.0, True]


def test_a_fresh_start_takes_nothing(reopen):
    reopen().put({"a": [1.0, True]})
    fresh = reopen(is_fresh=True)
    assert fresh.get("a") is None
    fresh.put({"b": [1.0, True]})
    assert reopen().get("a") is None


def test_a_file_torn_at_any_byte_gives_whole_answers_and_can_be_gone_on_with(reopen):
    first = reopen()
    for number in range(4):
        first.put({str(number): [float(number), True]})
    whole = first.path.read_bytes()
    for length in range(len(whole) + 1):
        first.path.write_bytes(whole[:length])
        again = reopen()
        known = [number for number in range(4) if again.get(str(number)) is not None]
        assert known == list(range(len(known)))
        assert len(known) >= whole[:length].count(b'"answers"') - 1
        again.put({"more": [0.5, False]})
        last = reopen()
        assert last.get("more") == [0.5, False]
        assert [number for number in range(4) if last.get(str(number)) is not None] == known


def test_damage_in_the_middle_costs_only_its_line(reopen):
    first = reopen()
    for number in range(40):
        first.put({str(number): [float(number), True]})
    lines = first.path.read_bytes().splitlines(keepends=True)
    chance = random.Random(3)
    for place in chance.sample(range(2, len(lines)), 5):
        damaged = list(lines)
        damaged[place] = bytes(byte ^ 1 if byte != 10 else byte for byte in damaged[place])
        first.path.write_bytes(b"".join(damaged))
        again = reopen()
        assert sum(again.get(str(number)) is not None for number in range(40)) == 39


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"answers": [1]},
        {"answers": {"a": [1, True]}, "seconds": "long"},
        {"begun": {"a": 3}, "seconds": 1},
        {"begun": {"a": ["x", "y"]}, "seconds": 1},
        {"run": 3},
        {"answers": {"a": [1.0, True]}, "seconds": -5},
        {"answers": {"a": [1.0, True]}, "seconds": 1e400},
        {"answers": {"a": [math.nan, True]}, "seconds": 1},  # older versions wrote it
        {"seconds": 1, "batch_size": None},
    ],
)
def test_whole_lines_of_somebody_elses_are_passed_over(reopen, content):
    first = reopen()
    first.put({"mine": [1.0, True]})
    text = json.dumps(content).encode()
    with first.path.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    again = reopen()
    assert again.get("mine") == [1.0, True]
    assert again.get("a") is None
    again.put({"more": [2.0, True]})
    assert reopen().get("more") == [2.0, True]


@pytest.mark.parametrize("answer", [None, 3, "text", [1, True], [1.0], [1.0, 1], {"a": 1}, [[1.0], True], ["1", True]])
def test_what_is_no_answer_is_asked_again(answer):
    assert as_score(answer) is None
    assert as_tokens([answer]) is None or answer == 3


def test_what_is_no_number_is_never_written(reopen):
    answers = reopen()
    with pytest.raises(ValueError, match="not JSON compliant"):
        answers.put({"a": [math.nan, True]})
    assert not answers.path.exists()


def test_a_short_case_does_not_touch_the_disk(tmp_path):
    store = Store(tmp_path / "results")
    store.check_writable()
    answers = Answers(store, store.root / "unfinished" / "a.jsonl", BINDING, {})
    answers.put({"a": [1.0, True]})
    answers.remove()
    assert [path.name for path in store.root.iterdir()] == ["individual_files"]


def test_a_full_disk_is_one_line_and_what_waits_is_written_later(reopen, monkeypatch):
    answers = reopen()
    answers.put({"a": [1.0, True]})

    def full(path, offset, data):
        with path.open("r+b") as file:  # half of it fits
            file.seek(offset)
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("glu_lib.results.unfinished.write_at", full)
        with pytest.raises(
            RecordError, match="cannot be written .No space left on device.; check free space and permissions, then"
        ):
            answers.put({"b": [2.0, True]})
    assert reopen().get("a") == [1.0, True]
    answers.flush()
    assert reopen().get("b") == [2.0, True]


def test_a_results_folder_that_is_gone_is_not_made_anew(reopen):
    answers = reopen()
    shutil.rmtree(answers.folder.root)
    with pytest.raises(RecordError, match="the results folder .* is gone"):
        answers.put({"a": [1.0, True]})
    assert not answers.folder.root.exists()
