import pytest
from transformers import AutoTokenizer

from glu_lib.errors import MeasurementError
from glu_lib.measure.accuracy.evaluate import wrap_model
from glu_lib.nano import MODEL_DIR
from glu_lib.study.settings import Scorer

LLAMA_DATE = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}|{{ messages[0]['content'] }}"
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ messages }}"


@pytest.fixture(params=list(Scorer))
def lm(request, tiny_llama):
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    tiny_llama.resize_token_embeddings(len(tokenizer))
    return wrap_model(tiny_llama, tokenizer, batch_size=2, scorer=request.param)


def test_a_template_that_asks_for_todays_date_is_told_the_same_one_every_day(lm):
    lm.tokenizer.chat_template = LLAMA_DATE
    assert lm.apply_chat_template([{"role": "user", "content": "hello"}]) == "26 Jul 2024|hello"


def test_a_template_that_takes_no_system_message_is_one_line_and_loses_nothing(lm):
    lm.tokenizer.chat_template = NO_SYSTEM
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    with pytest.raises(MeasurementError, match="cannot render the roles system, user \\(no system role\\); leave the"):
        lm.apply_chat_template(turns)
    assert "hello" in lm.apply_chat_template(turns[1:])
