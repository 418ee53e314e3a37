"""Texts of items: prompt, options and the answer of each level, from samples and lm-eval's own files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.answer_texts import UNFILTERED
from glu_lib.analysis.table import Row
from glu_lib.results.lm_eval_samples import generated_text, lm_eval_files_of, read_lm_eval_samples
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store

LONGEST_PROMPT = 4000  # characters; the question is at the end, so the beginning is left out
LONGEST_ANSWER = 4000  # characters of a generated answer or an option; the end is left out
_MOST_OPTIONS = 100

Answer = tuple[float | str, ...] | str  # log-likelihoods of the options ("-inf" without probability), or the text


@dataclass(frozen=True, slots=True)
class Item:
    """An item with its answer at each level of its task.

    `target` is empty if it is not known. `left_out` is the number of characters that `prompt` lacks at its beginning.
    `options` are empty for generated answers and where they are not known; `correct` are the places of the right ones,
    if known. `answers`, `values` (of the metric) and `right` have one element per level, None where the item was not
    scored; `values` is empty if they are all 0 or 1.
    """

    name: str
    target: str
    prompt: str | None
    left_out: int
    options: tuple[str, ...]
    answers: tuple[Answer | None, ...]
    right: tuple[bool | None, ...]
    correct: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What lm-eval's file says of an item: prompt, characters left out, target, options and the right ones."""

    text: str
    left_out: int
    target: str
    options: tuple[str, ...] = ()
    correct: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelSamples:
    """A level's samples of the headline's filter by key, and the filter."""

    row: Row
    filter: str
    samples: Mapping[tuple[Any, ...], Mapping[str, Any]]
    is_generated: bool


class ItemTexts:
    """The prompts, options and generated texts of some items, from lm-eval's own files."""

    def __init__(self, wanted: set[tuple[Any, ...]], levels: Sequence[LevelSamples], store: Store, metric: str) -> None:
        self.levels, self.metric = levels, metric
        values = [sample.get(metric) for level in levels for sample in level.samples.values()]
        self.are_shares = any(_is_share(value) for value in values)
        self.prompts: dict[tuple[Any, ...], Prompt] = {}
        self.unfiltered: list[dict[tuple[Any, ...], str]] = [{} for _ in levels]
        for number, level in enumerate(levels):
            if self.prompts.keys() >= wanted and not self._needs_texts(level):
                continue
            for path in lm_eval_files_of(store, level.row["record"]):
                self._read(path, number, wanted)

    @staticmethod
    def _needs_texts(level: LevelSamples) -> bool:
        """Whether the samples hold only a part of each generated text, because a filter extracted it."""
        return level.is_generated and level.filter != UNFILTERED

    def _read(self, path: Any, number: int, wanted: set[tuple[Any, ...]]) -> None:
        level = self.levels[number]
        try:
            for key, found in read_lm_eval_samples(path):
                if key not in wanted or not is_same(found, level.samples.get(key)):
                    continue
                if key not in self.prompts and (prompt := prompt_of(found, is_generated=level.is_generated)):
                    self.prompts[key] = prompt
                if self._needs_texts(level) and (text := generated_text(found)) is not None:
                    self.unfiltered[number][key] = text[:LONGEST_ANSWER]
        except (OSError, *MALFORMED):
            return  # what was read before the defect counts; a missing prompt is said on the page

    def item(self, key: tuple[Any, ...], right: Sequence[bool | None]) -> Item:
        """The item called `key`, with `right` of each level."""
        found = self.prompts.get(key)
        first = self.levels[0].samples[key]
        return Item(
            name=f"{key[0]} {key[1]}",
            target=(found.target if found else "") or _target_of(first),
            prompt=found.text if found else None,
            left_out=found.left_out if found else 0,
            options=found.options if found else (),
            answers=tuple(self._answer(number, key) for number in range(len(self.levels))),
            right=tuple(right),
            correct=(found.correct if found else ()) or self._target(first),
            values=tuple(self._value(level, key) for level in self.levels) if self.are_shares else (),
        )

    def _target(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """The place of the right option, if the metric has one and the sample's target is a place."""
        target, count = str(sample.get("target")), len(sample["answers"])
        has_one = self.metric.startswith("acc") and count > 1 and not self.are_shares
        return (int(target),) if has_one and target.isdecimal() and len(target) < 4 and int(target) < count else ()

    def _value(self, level: LevelSamples, key: tuple[Any, ...]) -> float | None:
        value = level.samples[key].get(self.metric) if key in level.samples else None
        return round(float(value), 3) if isinstance(value, int | float) and math.isfinite(value) else None

    def _answer(self, number: int, key: tuple[Any, ...]) -> Answer | None:
        if (text := self.unfiltered[number].get(key)) is not None:
            return text
        level = self.levels[number]
        sample = level.samples.get(key)
        if sample is None:
            return None
        if level.is_generated:
            return _text(sample["answers"][0])
        return tuple(_log_likelihood(answer) for answer in sample["answers"][:_MOST_OPTIONS])


def is_same(found: Mapping[str, Any], sample: Mapping[str, Any] | None) -> bool:
    """Whether a line of lm-eval's file is of the same document and prompt as the sample."""
    return sample is not None and all(found.get(name) == sample.get(name) for name in ("doc_hash", "prompt_hash"))


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def prompt_of(sample: Mapping[str, Any], *, is_generated: bool) -> Prompt | None:
    """The prompt and the options of a line of lm-eval's file; None if it holds none.

    Where the options are parts of different prompts (winogrande), the prompt is what they have in common.
    """
    if (found := whole_prompt(sample, is_generated=is_generated)) is None:
        return None
    prompt, options = found
    shown = tuple(option[:LONGEST_ANSWER] for option in options)
    return Prompt(*_end_of(prompt), _target_of(sample), shown, _true_options(sample.get("doc"), options))


def whole_prompt(sample: Mapping[str, Any], *, is_generated: bool) -> tuple[str, list[str]] | None:
    """As `prompt_of`: prompt and options, at their full length; the options of generated answers are []."""
    arguments = sample.get("arguments")
    found = list(arguments.values())[:_MOST_OPTIONS] if isinstance(arguments, dict) else []
    if not found or not all(isinstance(one, dict) for one in found):
        return None
    prompts = [str(one.get("arg_0", "")) for one in found]
    if is_generated:
        return prompts[0], []
    options = [str(one.get("arg_1", "")) for one in found]
    if len(set(prompts)) > 1:
        same = _beginning(min(prompts), max(prompts))
        options = [f"{prompt[len(same) :]}{option}" for prompt, option in zip(prompts, options, strict=True)]
        prompts = [same]
    return prompts[0], options


def _true_options(document: Any, options: Sequence[str]) -> tuple[int, ...]:
    """Places of the options that a document labels as true, as TruthfulQA does: several may be."""
    texts = [option.strip() for option in options]
    for part in document.values() if isinstance(document, dict) else ():
        match part:
            case {"choices": list(choices), "labels": list(labels)} if len(labels) == len(texts):
                if [str(choice).strip() for choice in choices] == texts:
                    return tuple(place for place, label in enumerate(labels) if label == 1)
    return ()


def _beginning(first: str, second: str) -> str:
    """The whole words with which two texts begin."""
    length = next((place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
    return first[: first.rfind(" ", 0, length) + 1]


def _end_of(prompt: str) -> tuple[str, int]:
    left_out = max(0, len(prompt) - LONGEST_PROMPT)
    return prompt[left_out:], left_out


def _target_of(sample: Mapping[str, Any]) -> str:
    """The target as text; empty where a sample holds only its hash."""
    target = sample.get("target")
    return "" if target is None else _text(target)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else repr(value))[:LONGEST_ANSWER]


def _log_likelihood(answer: Any) -> float | str:
    """The log-likelihood of an option, rounded; lm-eval adds whether the option is the most likely text."""
    value = answer[0] if isinstance(answer, list) and answer else answer
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return round(float(value), 3) if is_number else _text(value)
