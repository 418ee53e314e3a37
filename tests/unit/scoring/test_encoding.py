from hypothesis import given
from hypothesis import strategies as st

from glu_lib.environment import detect_environment
from glu_lib.identity import resolve_identity
from glu_lib.models import load_model
from glu_lib.scoring.encoding import Encoded, Encodings
from glu_lib.settings import Settings
from glu_lib.study import STUDY


def letters(text):
    """A tokenizer that joins 'ab' over any seam."""
    tokens, place = [], 0
    while place < len(text):
        step = 2 if text[place : place + 2] == "ab" else 1
        tokens.append(sum(map(ord, text[place : place + step])))
        place += step
    return tokens


@given(st.text("ab ", min_size=1), st.text("ab ", min_size=1))
def test_a_pair_is_split_as_lm_eval_splits_it(context, continuation):
    from lm_eval.api.model import TemplateLM

    class Own(TemplateLM):
        eot_token_id = 0
        tok_encode = staticmethod(letters)
        _loglikelihood_tokens = loglikelihood_rolling = generate_until = None

    found = Encodings().pair(context, continuation, letters)
    assert (list(found.context), list(found.continuation)) == Own()._encode_pair(context, continuation)


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
