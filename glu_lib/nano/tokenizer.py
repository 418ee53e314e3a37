"""The word-level tokenizer: one token per blank-separated word, without added special tokens."""

from collections.abc import Iterable
from pathlib import Path
from random import Random

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from glu_lib.nano.families import FAMILIES
from glu_lib.nano.families.family import Item
from glu_lib.nano.world import World

PAD, UNK, EOS = "<pad>", "<unk>", "<eos>"
MAX_TOKENS = 256
DRAWS_PER_FAMILY = 4_000  # enough to see every word; a test checks that no text contains an unknown word


def item_texts(item: Item) -> list[str]:
    """The texts of a task item that a model may get: running text, prompt, answer and options."""
    texts = [item.get("text", ""), item.get("prompt", ""), item.get("answer", ""), *item.get("choices", [])]
    return [text for text in texts if text]


def vocabulary(world: World) -> list[str]:
    """The special tokens, then all words of the families' texts in alphabetical order."""
    words: set[str] = set()
    for family in FAMILIES:
        rng = Random(f"vocabulary-{family.key}")
        words.update(_words(family.document(world, rng).text for _ in range(DRAWS_PER_FAMILY)))
        words.update(_words(text for item in family.items(world) for text in item_texts(item)))
    return [PAD, UNK, EOS, *sorted(words)]


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def build_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer without a post-processor: it adds no BOS, so that rolling perplexity does not score one.

    Without BOS, lm-eval uses EOS as the prefix of an empty context. In the training stream EOS precedes each text too.
    """
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=UNK,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(world: World, folder: Path) -> None:
    """Write the tokenizer's files into a folder."""
    build_tokenizer(vocabulary(world)).save_pretrained(folder)
