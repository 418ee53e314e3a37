"""Blind generated answers: fixed texts, and the model's own answers given to other prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from glu_lib.measure.controls.scored import Scored

SHUFFLES = 20
_SHUFFLE_SEED = 0
_WORD = "the"
_MOST_WORDS = 1280  # of the repeated word, if the task names no limit


def generated_controls(scored: Scored) -> Iterator[dict[str, Any]]:
    """The controls of each item: fixed answers, and `shuffle`.

    Fixed answers are `nothing`, a `full stop`, `one word repeated` to the limit of tokens, the `prompt`'s own text.
    `shuffle` is a list: the metric of the model's own answers to other prompts, one for each derangement. An answer
    that is worth as much for another prompt does not follow its own.
    """
    docs = [sample["doc"] for sample in scored.samples]
    options = scored.task.get_config("generation_kwargs") or {}
    words = int(options.get("max_gen_toks") or _MOST_WORDS)
    fixed: dict[str, list[str]] = {
        "nothing": [""] * len(docs),
        "full stop": ["."] * len(docs),
        "one word repeated": [" ".join([_WORD] * words)] * len(docs),
        "prompt": [str(scored.task.doc_to_text(doc)) for doc in docs],
    }
    scores = {name: _values(scored, docs, texts) for name, texts in fixed.items()}
    answers = [sample["resps"][0][0] for sample in scored.samples if sample["resps"]]
    orders = derangements(len(answers)) if len(answers) == len(docs) else ()
    shuffled = [_values(scored, docs, [answers[place] for place in order]) for order in orders]
    for number in range(len(docs)):
        yield {name: values[number] for name, values in scores.items()} | (
            {"shuffle": [values[number] for values in shuffled]} if shuffled else {}
        )


def derangements(count: int, shuffles: int = SHUFFLES, seed: int = _SHUFFLE_SEED) -> Iterator[list[int]]:
    """Random cyclic permutations of `count` places, in which no place keeps its own; none for fewer than two.

    By Sattolo's algorithm (An algorithm to generate a random cyclic permutation, Information Processing Letters 22,
    1986): each of the (count − 1)! cycles is equally likely.
    """
    rng = np.random.default_rng(seed)
    for _ in range(shuffles if count > 1 else 0):
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            other = int(rng.integers(last))
            order[last], order[other] = order[other], order[last]
        yield order


def _values(scored: Scored, docs: Sequence[Any], texts: Sequence[str]) -> list[Any]:
    """The metric of one text per item, through the task's own filters.

    lm-eval's language checks warn of each text without letters; the full stop is one on purpose.
    """
    from lm_eval.api.instance import Instance

    from glu_lib.measure.scoring.lm_eval_internals import filters_of

    instances = [
        Instance("generate_until", doc, ("", {}), 0, resps=[text]) for doc, text in zip(docs, texts, strict=True)
    ]
    for ensemble in filters_of(scored.task):
        if ensemble.name == scored.metric.filter:
            ensemble.apply(instances)
    return [
        scored.value(doc, [instance.filtered_resps[scored.metric.filter]])
        for doc, instance in zip(docs, instances, strict=True)
    ]
