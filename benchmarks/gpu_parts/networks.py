"""Random models in the shapes of the study, and a tokenizer of as many words as they have rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glu_lib.models.shapes import config_of
from glu_lib.study import STUDY
from glu_lib.study.architecture import Architecture
from glu_lib.study.settings import DType

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
_SPECIAL = (UNKNOWN, BEGIN, END)  # ids 0, 1, 2: BOS and EOS as in transformers' Llama configuration

_TINY = Architecture(
    hidden_size=64,
    intermediate_size=512,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    vocab_size=2048,
    tied_embeddings=True,
    max_positions=4096,
    rope_theta=10000.0,
)
# Unlike each other, so that figures of one are not taken for the other's.
_TINY_SHAPES = {"llama1b": _TINY, "llama3b": replace(_TINY, num_layers=3)}


def architecture(key: str, *, is_tiny: bool) -> Architecture:
    """The shape of a model of the study, or the tiny one that stands for it in a trial."""
    if is_tiny:
        return _TINY_SHAPES[key]
    found = STUDY.models[key].architecture
    assert found is not None  # the built-in study declares it
    return found


def random_model(shape: Architecture, dtype: DType, device: str, seed: int) -> PreTrainedModel:
    """A Llama of this shape in evaluation mode, its weights drawn on the device.

    The end token's embedding is 0: its logit is 0, far below the largest one, so that no answer ends early and each
    scorer does the same number of steps. This needs tied embeddings, which all shapes here have.
    """
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(
            config_of(shape), dtype=getattr(torch, dtype), trust_remote_code=False
        )
    with torch.no_grad():
        model.get_input_embeddings().weight[_SPECIAL.index(END)] = 0
    model.generation_config.eos_token_id = _SPECIAL.index(END)
    found: PreTrainedModel = model.eval()
    return found


def words(shape: Architecture) -> list[str]:
    """The words of the tokenizer; word n is token n + 3."""
    return [f"w{number}" for number in range(shape.vocab_size - len(_SPECIAL))]


def word_tokenizer(shape: Architecture) -> PreTrainedTokenizerBase:
    """A tokenizer with one token per word, so that texts of random models can be compared."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate((*_SPECIAL, *words(shape)))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=UNKNOWN, bos_token=BEGIN, eos_token=END, pad_token=UNKNOWN
    )
