"""Which attention a model gets: by equality alone, or by the time of a made-up round of decoding."""

from types import SimpleNamespace

import pytest
import torch
from tiny_families import VOCABULARY, tiny

from glu_lib.measure.scoring import choosing
from glu_lib.measure.scoring.choosing import choose_attention
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.study.settings import Attention, AttentionChoice


class Clock:
    """A clock that goes on by so many seconds, at each reading, as the attention in use takes."""

    def __init__(self, forward, **seconds):
        self.forward, self.seconds, self.now_s = forward, seconds, 0.0

    def __call__(self):
        self.now_s += self.seconds[self.forward.attention.name]
        return self.now_s


@pytest.fixture
def on_gpu(monkeypatch):
    """As if the model were on a GPU."""
    monkeypatch.setattr(choosing, "is_timed", lambda _forward: True)


@pytest.mark.parametrize(
    ("seconds", "attention"),
    [
        ({"SHARED": 1.0, "PLAIN": 2.0}, Attention.SHARED),
        ({"SHARED": 2.0, "PLAIN": 1.0}, Attention.PLAIN),
        ({"SHARED": 1.05, "PLAIN": 1.0}, Attention.SHARED),  # too near to tell
    ],
)
def test_the_faster_of_two_is_taken_on_a_gpu(on_gpu, seconds, attention):
    forward = SharedForward(tiny("Llama"))
    before = forward.forwarded_tokens
    assert choose_attention(forward, VOCABULARY, 512, Clock(forward, **seconds)) is AttentionChoice.FASTER
    assert forward.attention is attention
    assert forward.model.config._attn_implementation == "sdpa"
    # What try_out forwards is counted, as before; what was timed is not: both rounds would be thousands of tokens.
    assert forward.forwarded_tokens - before < 1000


def test_both_decode_the_same_prompts_in_the_same_number_of_rounds(on_gpu, monkeypatch):
    forward, seen = SharedForward(tiny("Llama")), []

    def generate(forward, prompts, _budget, *, max_new_tokens, rule):
        assert not rule.is_met([2])
        seen.append((forward.attention, tuple(prompts), max_new_tokens, forward.kernel))
        yield {}

    monkeypatch.setattr(choosing, "generate", generate)
    choose_attention(forward, VOCABULARY, 512, Clock(forward, SHARED=1.0, PLAIN=1.0))
    shared, plain = ([row[1:3] for row in seen if row[0] is attention] for attention in Attention)
    assert shared == plain
    assert len(shared) == 3
    assert {(attention, kernel) for attention, _, _, kernel in seen} == {
        (Attention.SHARED, "glu_shared"),
        (Attention.PLAIN, "sdpa"),
    }


@pytest.mark.parametrize("max_length", [49, 64, 300, 4096])
def test_the_prompts_leave_room_for_the_answers(max_length):
    prompts = choosing._prompts(VOCABULARY, max_length)
    assert len(set(prompts)) == len(prompts) == 16
    assert all(0 < len(prompt) <= max_length - 16 for prompt in prompts)


def test_nothing_is_timed_on_a_cpu():
    def clock():
        raise AssertionError("timed")

    forward = SharedForward(tiny("Llama"))
    assert choose_attention(forward, VOCABULARY, 512, clock) is AttentionChoice.NOT_TIMED
    assert forward.attention is Attention.SHARED


def test_nothing_is_timed_where_only_the_models_own_is_right(on_gpu):
    forward = SharedForward(tiny("Bloom", num_key_value_heads=4))
    assert choose_attention(forward, VOCABULARY, 512, Clock(forward)) is AttentionChoice.ONLY_EQUAL
    assert forward.attention is Attention.PLAIN


@pytest.mark.parametrize(("device", "expected"), [("cuda:1", True), ("cpu", False)])
def test_the_device_decides_whether_it_is_timed(device, expected):
    assert choosing.is_timed(SimpleNamespace(model=SimpleNamespace(device=torch.device(device)))) is expected
