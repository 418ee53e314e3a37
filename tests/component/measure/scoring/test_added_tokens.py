"""Tokenizers that add tokens behind a text: every scorer and every prompt asks as if they did not."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from glu_lib.errors import MeasurementError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.accuracy.evaluate import evaluate_task, wrap_model
from glu_lib.measure.energy.prompts import tokenized_batches
from glu_lib.measure.scoring.added_tokens import without_end
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.study import STUDY
from glu_lib.study.settings import Scorer, Settings

EOS, UNK = ("<eos>", 2), ("<unk>", 1)
TEXT = "please add 1 0 and 2 2 . answer :"
PROCESSORS = {
    "end": (TemplateProcessing(single="$A <eos>", special_tokens=[EOS]), []),
    "both": (TemplateProcessing(single="<unk> <eos> $A <eos> <unk>", special_tokens=[EOS, UNK]), [1, 2]),
    "bert": (BertProcessing(EOS, UNK), [1]),
    "roberta": (RobertaProcessing(EOS, UNK), [1]),
    "sequence": (
        Sequence([ByteLevel(), TemplateProcessing(single="<unk> $A <eos>", special_tokens=[EOS, UNK])]),
        [1],
    ),
}


@pytest.fixture(scope="module")
def loaded():
    nano = STUDY.models["nano"]
    return load_model(nano, resolve_identity(nano), detect_environment(Settings(device="cpu")))


def with_processor(loaded, processor):
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.backend_tokenizer.post_processor = processor
    return tokenizer


@pytest.mark.parametrize("name", PROCESSORS)
def test_only_what_stands_before_a_text_is_added(loaded, name):
    processor, head = PROCESSORS[name]
    tokenizer = with_processor(loaded, processor)
    plain = loaded.tokenizer.encode(TEXT)
    assert tokenizer.encode(TEXT)[-1] in (1, 2)
    assert without_end(tokenizer).encode(TEXT) == head + plain
    assert without_end(tokenizer).encode(f"{TEXT} <eos>") == [*head, *plain, 2]  # the text's own
    assert tokenizer.encode(TEXT)[-1] in (1, 2)  # the model's own tokenizer stays as it is


def test_add_eos_token_and_tokenizers_without_the_fast_library(loaded):
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_eos_token = True
    assert tokenizer.encode("the")[1:] == [2]
    assert without_end(tokenizer).encode("the") == loaded.tokenizer.encode("the")
    slow = ByT5Tokenizer()
    assert slow.encode("ab") == [100, 101, 1]
    assert without_end(slow)(["ab", "c"], padding=True)["input_ids"] == [[100, 101], [102, 0]]


def test_a_tokenizer_that_adds_nothing_behind_a_text_is_left_alone(loaded):
    assert without_end(loaded.tokenizer) is loaded.tokenizer
    starts = with_processor(loaded, TemplateProcessing(single="<eos> $A", special_tokens=[EOS]))
    assert without_end(starts) is starts


def test_a_tokenizer_that_goes_on_adding_is_refused():
    class Stubborn:
        def encode(self, text, *, add_special_tokens=True):
            return [*map(ord, text)] + [0] * add_special_tokens

        def convert_ids_to_tokens(self, _ids):
            return ["</s>"]

    with pytest.raises(MeasurementError, match=r"^the tokenizer appends </s> to every text, and answers cannot be sc"):
        without_end(Stubborn())


def requests(*arguments):
    return [SimpleNamespace(args=found) for found in arguments]


@pytest.mark.parametrize("scorer", Scorer)
def test_both_scorers_ask_as_with_the_tokenizer_that_adds_nothing(loaded, scorer):
    options = {"until": ["<eos>"], "max_gen_toks": 4, "do_sample": False}
    prompts = [TEXT, f"{TEXT} 3 2 . {TEXT}", " ".join([TEXT] * 40)]  # one of them does not fit
    pairs = [(TEXT, " 3 2"), (TEXT, " 2 3"), (f"{TEXT} ", "1"), ("", "3 2 .")]
    found = []
    for tokenizer in (loaded.tokenizer, with_processor(loaded, PROCESSORS["end"][0])):
        lm = wrap_model(loaded.model, tokenizer, batch_size=2, scorer=scorer)
        found.append(
            (
                lm.loglikelihood(requests(*pairs), disable_tqdm=True),
                lm.loglikelihood_rolling(requests((TEXT,), (TEXT * 20,)), disable_tqdm=True),
                lm.generate_until(requests(*[(prompt, options) for prompt in prompts]), disable_tqdm=True),
                (lm.truncated_prompts, lm.cut_generations),
            )
        )
    assert found[0] == found[1]
    assert found[0][2][0] == "3 2"


@pytest.mark.parametrize("scorer", Scorer)
@pytest.mark.parametrize("name", ["end", "both"])
def test_facts_are_known_whatever_the_tokenizer_adds_at_the_end(loaded, scorer, name):
    tokenizer = with_processor(loaded, PROCESSORS[name][0])
    lm = wrap_model(loaded.model, tokenizer, batch_size=16, scorer=scorer)
    found = evaluate_task(lm, TaskLibrary(), STUDY.tasks["facts"], seed=1, limit=20)
    assert found.headline.value == 1.0


def test_a_workloads_prompts_end_where_their_texts_end(loaded):
    workload = dataclasses.replace(STUDY.workloads["facts_latency_b1"], num_prompts=3, batch_size=3)
    prompts = [TEXT, f"{TEXT} 3", f"{TEXT} 3 2 ."]
    ends = dataclasses.replace(loaded, tokenizer=with_processor(loaded, PROCESSORS["end"][0]))
    plain, found = (tokenized_batches(each, workload, 1, prompts, None)[0] for each in (loaded, ends))
    assert found["input_ids"].tolist() == plain["input_ids"].tolist()
    assert found["attention_mask"].tolist() == plain["attention_mask"].tolist()


def test_a_tokenizer_that_has_no_token_for_the_words_it_is_tried_with():
    """Without UNK it raises where another would give one; words of its own show what it adds."""
    backend = Tokenizer(WordLevel({"<eos>": 0, "zither": 1, "zorn": 2}))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
    assert tokenizer.encode("zither zorn") == [1, 2, 0]
    assert without_end(tokenizer).encode("zither zorn") == [1, 2]
