import gzip
import json
import shutil
from pathlib import Path

import pytest

from glu_lib.analysis import conclude
from glu_lib.analysis.flips import MOST_FLIPS, NO_PROMPTS, evenly, flips, is_right
from glu_lib.analysis.item_texts import LONGEST_PROMPT, prompt_of
from glu_lib.results.store import Store

NANO = Path(__file__).parents[3] / "results/measured/nano"
OPTIONS = [" north", " south", " east", " west"]


@pytest.fixture
def folder(tmp_path):
    """The committed facts and sums at p0, p40 and p60, with lm-eval files of p0 that hold invented prompts."""
    for level in ("p0", "p40", "p60"):
        for kind, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
            target = tmp_path / kind / "nano" / level
            target.mkdir(parents=True)
            for task in ("facts", "sums"):
                shutil.copy(NANO / kind / "nano" / level / f"nano-{level}-{task}.{ending}", target)
    for task in ("facts", "sums"):
        path = tmp_path / f"lm_eval/nano/p0/nano-p0-{task}/nano-p0/samples_nano_{task}_2026-01-01T00-00-00.1.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lm_eval_lines(samples(tmp_path, "p0", task))))
    return tmp_path


def lm_eval_lines(found):
    for sample in found:
        prompt = f"question {sample['doc_id']} ?"
        options = OPTIONS if len(sample["answers"]) > 1 else [{"until": ["."]}]
        arguments = {f"gen_args_{n}": {"arg_0": prompt, "arg_1": option} for n, option in enumerate(options)}
        yield {name: sample[name] for name in ("doc_id", "filter", "doc_hash", "prompt_hash")} | {
            "arguments": arguments,
            "target": f"target {sample['doc_id']}" if len(options) == 1 else sample["target"],
        }


def samples(root, level, task):
    data = (root / f"samples/nano/{level}/nano-{level}-{task}.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def found_in(root):
    return {task.task: task for task in flips(conclude(root).rows, Store(root))}


def test_the_items_that_flipped_are_all_there_with_prompts_options_and_answers(folder):
    facts = found_in(folder)["facts"]
    first, last = samples(folder, "p0", "facts"), samples(folder, "p60", "facts")
    lost = {a["doc_id"] for a, b in zip(first, last, strict=True) if (a["acc"], b["acc"]) == (1, 0)}
    gained = {a["doc_id"] for a, b in zip(first, last, strict=True) if (a["acc"], b["acc"]) == (0, 1)}
    assert len(lost) > 100
    assert gained
    assert (facts.gained[2], facts.lost[2]) == (len(gained), len(lost))
    assert (facts.gained[0], facts.lost[0]) == (0, 0)
    assert [percent for percent, _ in facts.levels] == [0, 40, 60]
    at_60 = {item.name for item in facts.items if item.right[0] != item.right[2]}
    assert at_60 == {f"nano_facts {number}" for number in lost | gained}
    assert all(len(set(item.right)) == 2 for item in facts.items)
    item = facts.items[0]
    number = int(item.name.split()[1])
    assert item.prompt == f"question {number} ?"
    assert item.options == tuple(OPTIONS)
    assert item.target == str(first[number]["target"])
    assert item.correct == (first[number]["target"],)
    assert item.values == ()
    assert item.answers[2] == tuple(round(answer[0], 3) for answer in last[number]["answers"])
    assert facts.problem == ""


def test_generated_answers_are_texts(folder):
    sums = found_in(folder)["sums"]
    last = samples(folder, "p60", "sums")
    for item in sums.items:
        assert item.options == ()
        assert item.target == f"target {item.name.split()[1]}"
        assert item.answers[2] == last[int(item.name.split()[1])]["answers"][0]


def test_without_lm_evals_files_items_are_there_without_prompts_and_it_is_said(folder):
    with_prompts = found_in(folder)["facts"]
    shutil.rmtree(folder / "lm_eval")
    without = found_in(folder)["facts"]
    assert without.problem == NO_PROMPTS
    assert {item.prompt for item in without.items} == {None}
    assert [item.answers for item in without.items] == [item.answers for item in with_prompts.items]


def test_prompts_of_other_items_are_not_shown(folder):
    for path in folder.glob("lm_eval/**/*facts*.jsonl"):
        lines = [json.loads(line) | {"prompt_hash": "0"} for line in path.read_text().splitlines()]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert found_in(folder)["facts"].problem == NO_PROMPTS


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"3\n", b"\xff", b'{"doc_id": []}\n', b'{"arguments": 3}'])
def test_an_unreadable_file_costs_only_the_prompts(folder, content):
    for path in folder.glob("lm_eval/**/*facts*.jsonl"):
        path.write_bytes(content)
    found = found_in(folder)
    assert found["facts"].problem == NO_PROMPTS
    assert found["facts"].items
    assert found["sums"].problem == ""


def test_a_level_without_samples_is_named_and_the_others_are_shown(folder):
    (folder / "samples/nano/p40/nano-p40-facts.jsonl.gz").unlink()
    facts = found_in(folder)["facts"]
    assert [percent for percent, _ in facts.levels] == [0, 60]
    assert facts.problem.startswith("p40: ")
    (folder / "samples/nano/p0/nano-p0-facts.jsonl.gz").unlink()
    facts = found_in(folder)["facts"]
    assert facts.items == ()
    assert "p0: " in facts.problem


def test_rows_of_published_tables_have_no_items(tmp_path):
    assert list(flips(conclude(NANO).rows, Store(tmp_path))) == []


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("acc", 1.0, True),
        ("acc", 0, False),
        ("mc2", 0.5, True),
        ("mc2", 0.49, False),
        ("inst_level_strict_acc", [True, True], True),
        ("inst_level_strict_acc", [True, False], False),
        ("prompt_level_strict_acc", False, False),
        ("f1", [1, 1], True),
        ("mcc", [0, 1], False),
        ("word_perplexity", [-3.0, 4], None),
        ("perplexity", 0.7, None),
        ("rouge", 37.0, None),
        ("acc", None, None),
        ("acc", "x", None),
        ("acc", float("nan"), None),
    ],
)
def test_what_counts_as_right(metric, value, expected):
    assert is_right(metric, value) is expected


def test_what_options_of_different_prompts_share_is_the_prompt():
    beginnings = ["The cup fits in the box as the cup", "The cup fits in the box as the case"]
    arguments = {str(place): {"arg_0": text, "arg_1": " is big."} for place, text in enumerate(beginnings)}
    found = prompt_of({"arguments": arguments}, is_generated=False)
    assert found.text == "The cup fits in the box as the "
    assert found.options == ("cup is big.", "case is big.")


def test_of_a_long_prompt_the_end_is_kept():
    arguments = {"gen_args_0": {"arg_0": "a" * 10 + "b" * LONGEST_PROMPT, "arg_1": {}}}
    found = prompt_of({"arguments": arguments}, is_generated=True)
    assert (found.text, found.left_out, found.options) == ("b" * LONGEST_PROMPT, 10, ())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"question": "?", "mc2_targets": {"choices": ["a", "b", "c"], "labels": [1, 1, 0]}}, (0, 1)),
        ({"mc1_targets": {"choices": ["x", "b", "c"], "labels": [1, 0, 0]}}, ()),  # of other options
        ({"choices": {"text": ["a"], "label": ["A"]}}, ()),
        (None, ()),
        ("x", ()),
    ],
)
def test_several_options_may_be_true(document, expected):
    arguments = {str(place): {"arg_0": "?", "arg_1": f" {text}"} for place, text in enumerate("abc")}
    assert prompt_of({"arguments": arguments, "doc": document}, is_generated=False).correct == expected


def test_too_many_flips_are_thinned_in_equal_steps():
    places = list(range(3 * MOST_FLIPS))
    assert evenly(places, MOST_FLIPS) == places[::3]
    assert evenly([1, 5, 9], MOST_FLIPS) == [1, 5, 9]
    assert evenly([], 3) == []
