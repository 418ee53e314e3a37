"""The word-level tokenizer: one token per blank-separated word, nothing added by itself."""

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
DRAWS_PER_FAMILY = 4_000  # enough to meet every word; a test asserts that no text holds an unknown one


def item_texts(item: Item) -> list[str]:
    """The texts of a task item that a model may be shown, prompt and options or answer."""
    texts = [item.get("text", ""), item.get("prompt", ""), item.get("answer", ""), *item.get("choices", [])]
    return [text for text in texts if text]


def vocabulary(world: World) -> list[str]:
    """Special tokens, then every word of the families' texts in alphabetical order."""
    words: set[str] = set()
    for family in FAMILIES:
        rng = Random(f"vocabulary-{family.key}")
        words.update(_words(family.document(world, rng).text for _ in range(DRAWS_PER_FAMILY)))
        words.update(_words(text for item in family.items(world) for text in item_texts(item)))
    return [PAD, UNK, EOS, *sorted(words)]


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def build_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer without post-processor: it adds no BOS, so rolling perplexity scores none.

    lm-eval takes EOS as the prefix of an empty context; in the training text each text follows an EOS.
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
