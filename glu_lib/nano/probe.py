"""Score a network on all families without lm-eval, to follow its training."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from glu_lib.nano.families import FAMILIES, Item
from glu_lib.nano.world import World

BATCH_SIZE = 64


def probe(
    network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, limit: int | None = None
) -> dict[str, float]:
    """Score up to `limit` items of each family, evenly spread over its items.

    Returns:
        Accuracy (0 to 1) by family; for `narrative` the word perplexity. As in greedy decoding, a generated answer is
        right if each of its words, and the EOS after it, is the most likely next word.
    """
    scores = {}
    for family in FAMILIES:
        items = family.items(world)
        step = 1 if limit is None else max(1, len(items) // limit)
        results = _score(network, tokenizer, items[::step][:limit])
        mean = sum(results) / len(results)
        scores[family.key] = math.exp(mean) if family.key == "narrative" else mean
    return scores


def _score(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, items: list[Item]) -> list[float]:
    score_one = _item_scorer(items[0])
    results: list[float] = []
    for batch in _batches(items):
        encoded = [tokenizer.encode(_shown(tokenizer, item)) for item in batch]
        # Padding on the right does not change the logits before it, because the network is causal.
        padded = tokenizer.pad({"input_ids": encoded}, padding_side="right", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            log_probs = (
                network(input_ids=padded, use_cache=False).logits.float().log_softmax(-1)
            )  # [batch, time, words]
        for item, tokens, rows in zip(batch, encoded, log_probs, strict=True):
            results.append(score_one(tokenizer, item, tokens, rows))
    return results


def _batches(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), BATCH_SIZE):
        yield items[start : start + BATCH_SIZE]


def _shown(tokenizer: PreTrainedTokenizerFast, item: Item) -> str:
    if "text" in item:
        return f"{tokenizer.eos_token} {item['text']}"
    return f"{item['prompt']} {item['answer']} {tokenizer.eos_token}" if "answer" in item else str(item["prompt"])


def _item_scorer(item: Item) -> Any:
    if "text" in item:
        return _negative_log_likelihood
    return _choice_is_right if "choices" in item else _answer_is_right


def _negative_log_likelihood(_tokenizer: Any, _item: Item, tokens: list[int], rows: torch.Tensor) -> float:
    targets = torch.tensor(tokens[1:])
    return -float(rows[: len(targets)].gather(-1, targets[:, None]).mean())


def _choice_is_right(tokenizer: PreTrainedTokenizerFast, item: Item, tokens: list[int], rows: torch.Tensor) -> float:
    options = tokenizer.convert_tokens_to_ids(item["choices"])
    return float(int(rows[len(tokens) - 1, options].argmax()) == item["gold"])


def _answer_is_right(_tokenizer: PreTrainedTokenizerFast, item: Item, tokens: list[int], rows: torch.Tensor) -> float:
    start = len(item["prompt"].split())
    # EOS is part of the answer to a question, but not of the last word of a passage, which a full stop follows.
    end = len(tokens) - (0 if item["prompt"].endswith("answer :") else 1)
    predicted = rows[start - 1 : end - 1].argmax(-1).tolist()
    return float(predicted == tokens[start:end])
