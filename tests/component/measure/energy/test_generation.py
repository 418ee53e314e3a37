import pytest

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.energy.timed_generation import generate_fixed, generate_natural, real_tokens, time_steps
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import end_tokens, load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Settings

NANO = STUDY.models["nano"]


@pytest.fixture(scope="module")
def loaded():
    return load_model(NANO, resolve_identity(NANO), detect_environment(Settings(device="cpu")))


@pytest.fixture
def batch(loaded):
    loaded.tokenizer.padding_side = "left"
    prompts = ["please add 1 0 and 2 2 . answer :", "please add 3 0 and 2 2 . answer :"]
    return loaded.tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)


def test_padding_behind_the_end_does_not_count():
    rows = [[5, 6, 2, 0, 0], [5, 6, 7, 8, 9], [2, 2, 2, 2, 2]]
    assert real_tokens(rows, frozenset({2})) == [3, 5, 1]
    assert real_tokens(rows, frozenset()) == [5, 5, 5]


def test_a_sum_ends_by_itself_long_before_the_limit(loaded, batch):
    found = generate_natural(loaded, batch, 40)
    assert len(found) == 2
    assert all(1 < tokens < 10 for tokens in found)
    assert end_tokens(loaded.model)


def test_a_fixed_length_goes_on_behind_the_end(loaded, batch, monkeypatch):
    generate_fixed(loaded, batch, 12)
    own = loaded.model.generate
    monkeypatch.setattr(loaded.model, "generate", lambda **options: own(**options)[:, :-1])
    with pytest.raises(
        MeasurementError, match="11 tokens per row were generated instead of 12, so that energy per token"
    ):
        generate_fixed(loaded, batch, 12)


def test_each_token_has_its_time(loaded, batch):
    steps = time_steps(loaded, batch, 9)
    assert len(steps.later_tokens_ms) == 8
    assert steps.first_token_ms > 0
    assert min(steps.later_tokens_ms) > 0


def test_one_token_has_no_later_ones(loaded, batch):
    assert time_steps(loaded, batch, 1).later_tokens_ms == ()
