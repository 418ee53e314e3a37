"""Random requests with the shapes of the study's tasks, for the benchmark of both scorers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from glu_lib.measure.scoring.packing import distinct_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NEW_TOKENS = 32  # of each generated answer
_VOCABULARY = 32_000  # of the benchmark's model, so that its LM head costs as much as a real one


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one kind of requests. Sizes are in words; a word is one token of the embedded model's tokenizer.

    `method` is lm-eval's request type. There are `families` groups of `documents` documents. A request starts with
    `shots` words that its group shares, followed by `context` words of its document and an answer of `length` words.
    Each document has `answers` answers.
    """

    name: str
    method: str
    families: int
    documents: int
    shots: int
    context: int
    answers: int
    length: int

    def requests(self, words: Sequence[str], seed: int = 0) -> list[Any]:
        """Stand-ins for lm-eval's requests, with the fields that a scorer reads."""
        rng = random.Random(seed)

        def text(size: int) -> str:
            return " ".join(rng.choices(words, k=size))

        found: list[Any] = []
        for _family in range(self.families):
            shots = text(self.shots)
            for _document in range(self.documents):
                context = f"{shots} {text(self.context)}".strip()
                found += [SimpleNamespace(args=arguments) for arguments in self._arguments(context, text)]
        return found

    def _arguments(self, context: str, text: Callable[[int], str]) -> list[tuple[Any, ...]]:
        if self.method == "loglikelihood_rolling":
            return [(context,)]
        if self.method == "generate_until":
            return [(context, {"until": ["<never>"], "max_gen_toks": NEW_TOKENS, "do_sample": False})]
        return [(context, f" {text(self.length)}") for _ in range(self.answers)]


SHAPES = (
    Shape("hellaswag", "loglikelihood", families=1, documents=40, shots=0, context=80, answers=4, length=25),
    Shape("mmlu_5shot", "loglikelihood", families=4, documents=12, shots=600, context=80, answers=4, length=1),
    Shape("boolq", "loglikelihood", families=1, documents=40, shots=0, context=150, answers=2, length=1),
    Shape("lambada", "loglikelihood", families=1, documents=64, shots=0, context=80, answers=1, length=1),
    Shape("wikitext", "loglikelihood_rolling", families=1, documents=6, shots=0, context=2000, answers=0, length=0),
    Shape("gsm8k_5shot", "generate_until", families=1, documents=16, shots=600, context=60, answers=0, length=0),
)


def benchmark_model(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A Llama with random weights for the tokenizer's tokens: hidden size 256, four layers, context 1024."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=_VOCABULARY,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: PreTrainedModel = LlamaForCausalLM(config)
    model.eval()
    return model


def needed_tokens(lm: Any, shape: Shape, requests: Sequence[Any]) -> int:
    """The least number of tokens to forward: each distinct prefix token once, and each generated token but the last.

    Args:
        lm: the suite's own scorer, after it has scored the requests.
        shape: the shape of the requests.
        requests: the requests.
    """
    if shape.method != "generate_until":
        return int(lm.distinct_tokens)
    prompts = {tuple(lm.tok_encode(request.args[0])) for request in requests}
    return distinct_tokens(prompts) + len(requests) * (NEW_TOKENS - 1)
