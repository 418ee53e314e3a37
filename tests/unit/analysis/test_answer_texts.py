import json

import pytest
from made_records import made_record

from glu_lib.analysis.answer_texts import AnswerForm, answer_form, are_generated, defects, form_of, repetition_of
from glu_lib.analysis.headline import HeadlineTable
from glu_lib.results.lm_eval_samples import lm_eval_files_of
from glu_lib.results.store import Store

NAME = "individual_files/m/p0/m-p0-gsm8k.json"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0),
        ("a a a", 0),  # fewer than four words
        ("a b c d", 0),
        ("the the the the the the", 2 / 3),  # three 4-grams, all equal
        ("a b c d a b c d", 1 / 5),  # five 4-grams, the last equals the first
        ("a\nb\tc  d a b c d", 1 / 5),
        ("NLNLNLNLNLNLNLNL", 0),  # one word
    ],
)
def test_repetition_is_the_share_of_4_grams_that_were_there_before(text, share):
    assert repetition_of(text) == pytest.approx(share)


def test_the_form_of_answers_is_a_mean_over_answers():
    form = form_of(["", " \n", "the the the the the", "four words are here"], 4, 1)
    assert form == AnswerForm(
        answer_length=(0 + 2 + 19 + 19) / 4, repetition=(0 + 0 + 0.5 + 0) / 4, empty_share=0.5, cut_share=0.25
    )


@pytest.mark.parametrize("cut", [None, -1, 5])
def test_an_unknown_or_impossible_number_of_cuts_is_null(cut):
    assert form_of(["a"] * 4, 4, cut).cut_share is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([["a"], [""]], True),
        ([["-inf"], ["a"]], True),
        ([["-inf"]], False),  # a whole text's log-likelihood
        ([[-3.2]], False),
        ([[[-3.2, False], [-1.0, True]]], False),
        ([], False),
        ([3], False),
        ([["a", "b"]], False),
    ],
)
def test_generated_texts_are_told_from_log_likelihoods(answers, expected):
    assert are_generated(answers) is expected


def record(found):
    place = {"task": "t", "metric": "exact_match", "filter": found}
    return made_record({"score": {"headline": place, "metrics": [place], "cut_generations": 1}})


def samples(found):
    return [{"filter": found, "answers": [text]} for text in ("72", "[invalid]")]


def lm_eval_file(root, *lines):
    path = root / "lm_eval/m/p0/m-p0-gsm8k/m-p0/samples_gsm8k_2026-01-01T00-00-00.1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_the_whole_text_counts_and_not_what_a_filter_extracted(tmp_path):
    texts = ["so it is 72", "so it is so it is so"]
    lines = [{"doc_id": number, "filter": "strict", "resps": [[text]]} for number, text in enumerate(texts)]
    lm_eval_file(tmp_path, *lines, {"doc_id": 0, "filter": "other", "resps": [["x"]]})
    form = answer_form(record("strict"), samples("strict"), Store(tmp_path), NAME)
    assert form == form_of(texts, 2, 1)
    assert form.answer_length == 15.5


@pytest.mark.parametrize("lines", [(), ({"filter": "strict", "resps": [["x"]]},), (3,), ({"resps": 3},)])
def test_without_the_whole_texts_only_cuts_are_known(tmp_path, lines):
    lm_eval_file(tmp_path, *lines)
    form = answer_form(record("strict"), samples("strict"), Store(tmp_path), NAME)
    assert form == AnswerForm(None, None, None, 0.5)


def test_texts_outside_the_results_folder_are_not_read(tmp_path):
    root = tmp_path / "results"
    path = lm_eval_file(root)
    path.unlink()
    outside = tmp_path / "outside.jsonl"
    outside.write_text("".join(json.dumps({"filter": "strict", "resps": [["x"]]}) + "\n" for _ in range(2)))
    path.symlink_to(outside)
    assert answer_form(record("strict"), samples("strict"), Store(root), NAME).answer_length is None
    path.unlink()
    path.symlink_to(path)
    assert lm_eval_files_of(Store(root), NAME) == []


def test_log_likelihoods_have_no_form(tmp_path):
    scored = [{"filter": "none", "answers": [[-1.0, True], [-2.0, False]]}]
    assert answer_form(record("none"), scored, Store(tmp_path), NAME) is None


def test_a_note_names_the_levels_whose_answers_are_mostly_empty_repetition_or_cut():
    row = {"subject": "ifeval", "metric": "acc", "value": 0.1, "percent": 40}
    fine = row | {"percent": 0, "repetition": 0.5, "empty_share": 0.0, "cut_share": None}
    odd = row | {"repetition": 0.62, "empty_share": 0.1, "cut_share": 0.91}
    assert defects(fine) == {}
    cells = {("ifeval", 0): fine, ("ifeval", 40): odd}
    table = HeadlineTable("m", None, None, None, None, ((0, 4.0), (40, 2.4)), ("ifeval",), cells)
    assert table.notes == [
        "generated answers mostly repetition, empty or cut by the token limit: ifeval p40 (repetition 62%, cut 91%)"
    ]


def test_a_long_text_without_blanks_counts_by_characters():
    assert repetition_of("SGE" + "NL" * 100) > 0.95
    assert repetition_of("yes") == repetition_of("a short answer") == 0
