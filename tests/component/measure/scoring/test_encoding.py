import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.scoring.encoding import Encoded, Encodings
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Settings


def letters(text):
    """A tokenizer that joins 'ab' over any seam."""
    tokens, place = [], 0
    while place < len(text):
        step = 2 if text[place : place + 2] == "ab" else 1
        tokens.append(sum(map(ord, text[place : place + step])))
        place += step
    return tokens


@given(st.text("ab ", min_size=1), st.text("ab ", min_size=1))
def test_a_pair_is_split_as_lm_eval_splits_it_unless_a_token_reaches_over_the_seam(context, continuation):
    from lm_eval.api.model import TemplateLM

    class Own(TemplateLM):
        eot_token_id = 0
        tok_encode = staticmethod(letters)
        _loglikelihood_tokens = loglikelihood_rolling = generate_until = None

    before, after = Own()._encode_pair(context, continuation)
    if before + after == letters(context + continuation):
        found = Encodings().pair(context, continuation, letters)
        assert (list(found.context), list(found.continuation)) == (before, after)
    else:
        assert (context.rstrip() + continuation)[len(context.rstrip()) - 1 :].startswith("ab")
        with pytest.raises(MeasurementError, match="one token covers the end of the context"):
            Encodings().pair(context, continuation, letters)


def test_a_token_over_the_seam_is_refused_with_the_two_texts():
    with pytest.raises(
        MeasurementError,
        match=r"^one token covers the end of the context '…x{38}\\na' and the start of the answer 'bc', so "
        r"that the answer alone has no probability; put a blank or another delimiter of the tokenizer "
        r"between them, or leave the task out for this model$",
    ):
        Encodings().pair("x" * 50 + "\na", "bc", letters)


def test_blanks_that_a_token_joins_to_the_context_stay_with_it():
    def encode(text):  # a sign and the line breaks behind it are one token, as Llama 3's tokenizer has them
        return [sum(map(ord, part)) for part in re.findall(r" ?\w+|:\n*|\s", text)]

    found = Encodings().pair("answer:\n", "yes", encode)
    assert (list(found.context), list(found.continuation)) == (encode("answer:\n"), encode("yes"))
    found = Encodings().pair("answer: ", "yes", encode)
    assert (list(found.context), list(found.continuation)) == (encode("answer:"), encode(" yes"))
    with pytest.raises(MeasurementError, match=r"context 'answer:\\n' and the start of the answer '\\nyes', so that"):
        Encodings().pair("answer:\n", "\nyes", encode)


def test_each_text_is_encoded_once():
    seen = []

    def encode(text):
        seen.append(text)
        return letters(text)

    encodings = Encodings()
    for _level in range(2):
        found = [encodings.pair("a b", f" {k}", encode) for k in "xyz"]
    assert sorted(seen) == ["a b", "a b x", "a b y", "a b z"]
    assert all(one.context is found[0].context for one in found)


def test_the_inputs_end_before_the_last_token_and_fit_the_context():
    request = Encoded.of([1, 2, 3], [4, 5])
    assert request.size == 5
    assert request.inputs(9) == (1, 2, 3, 4)
    assert request.inputs(4) == (1, 2, 3, 4)
    assert request.inputs(3) == (2, 3, 4)


def test_prompts_are_kept_with_whether_they_were_cut():
    calls = []

    def encode(text, room):
        calls.append(text)
        tokens = tuple(letters(text))
        return tokens[-room:], len(tokens) > room

    encodings = Encodings()
    for _level in range(2):
        assert encodings.prompt("xyz", 2, encode) == ((ord("y"), ord("z")), True)
    assert encodings.prompt("xyz", 3, encode)[1] is False
    assert calls == ["xyz", "xyz"]


def test_unicode_keeps_its_tokens():
    nano = STUDY.models["nano"]
    loaded = load_model(nano, resolve_identity(nano), detect_environment(Settings(device="cpu")))
    text = "größer 中文 🙂 the"
    assert Encodings().text(text, loaded.tokenizer.encode).tolist() == loaded.tokenizer.encode(text)
