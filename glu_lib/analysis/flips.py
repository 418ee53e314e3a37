"""Flips: items that are right at p0 and wrong at a level, or the other way round, with prompts and answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.answer_texts import UNFILTERED, are_generated
from glu_lib.analysis.conclusions import main_families
from glu_lib.analysis.table import Row
from glu_lib.errors import RecordError, one_line
from glu_lib.results.lm_eval_samples import generated_text, lm_eval_files_of, read_lm_eval_samples
from glu_lib.results.record import MALFORMED, read_scored
from glu_lib.results.store import Store

MOST_FLIPS = 1000  # per task and level; more are left out in equal steps
LONGEST_PROMPT = 4000  # characters; the question is at the end, so the beginning is left out
LONGEST_ANSWER = 4000  # characters of a generated answer or an option; the end is left out
NO_PROMPTS = (
    "lm-eval's own files (the folder lm_eval) are not in this results folder or are of other items, so prompts and "
    "options are not known"
)
_NOT_RIGHT_OR_WRONG = "its items are not right or wrong, so none flips"
_MOST_OPTIONS = 100
_HALF = 0.5

Answer = tuple[float | str, ...] | str  # log-likelihoods of the options ("-inf" without probability), or the text


@dataclass(frozen=True, slots=True)
class Item:
    """An item with its answer at each level of its task.

    `left_out` is the number of characters that `prompt` lacks at its beginning. `options` are empty for generated
    answers and where they are not known; `correct` are the places of the right ones, if known. `answers`, `values` (of
    the metric) and `right` have one element per level, None where the item was not scored; `values` is empty if they
    are all 0 or 1.
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
class _Prompt:
    """What lm-eval's file says of an item: its prompt, the characters left out, its options and the right ones."""

    text: str
    left_out: int
    options: tuple[str, ...] = ()
    correct: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskFlips:
    """The items of a task that flipped between p0 and some level.

    `levels` are (percent, expansion ratio), p0 first. `gained` and `lost` are the numbers of flipped items of each
    level, shown or not. `problem` says why there are no items or no prompts; empty if there are.
    """

    model: str
    limit: int | None
    task: str
    metric: str
    levels: tuple[tuple[int, float], ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    items: tuple[Item, ...]
    problem: str = ""


def flips(rows: Iterable[Row], store: Store) -> Iterator[TaskFlips]:
    """The flipped items of each task, at the levels pruned by PPM with plain widths (`main_families`).

    Args:
        rows: tidy rows.
        store: the results folder of these rows; rows of records that are not in it are left out.
    """
    for family, mine in main_families(rows).items():
        own = [row for row in mine if (store.root / row["record"]).is_file()]
        for task in dict.fromkeys(row["subject"] for row in own):
            levels = sorted((row for row in own if row["subject"] == task), key=lambda row: row["percent"])
            if levels[0]["percent"] == 0 and len(levels) > 1:
                try:
                    yield _task_flips(family.model, levels, store)
                except MALFORMED as error:
                    yield _empty(family.model, levels, f"its samples are malformed ({one_line(str(error))})")


def is_right(metric: str, value: Any) -> bool | None:
    """Whether the value of an item counts as right; None for metrics without right and wrong items.

    A share (of correct options' probability in mc2, of words in a score) is right from one half on, a list of flags
    (ifeval) if all are true, a pair of labels (F1, MCC) if they agree.
    """
    match value:
        case [bool(), *_]:
            return all(flag is True for flag in value)
        case [int(gold), int(predicted)] if metric in ("f1", "mcc"):
            return gold == predicted
        case bool() | int() | float() if 0 <= value <= 1 and not metric.endswith("perplexity"):
            return value >= _HALF
    return None


def evenly(places: Sequence[int], most: int) -> list[int]:
    """At most `most` of the `places`, in equal steps over all."""
    count = min(most, len(places))
    return [places[number * len(places) // count] for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Level:
    """A level's samples of the headline's filter by key, and the filter."""

    row: Row
    filter: str
    samples: Mapping[tuple[Any, ...], Mapping[str, Any]]
    is_generated: bool


def _task_flips(model: str, rows: Sequence[Row], store: Store) -> TaskFlips:
    read, problems = [], []
    for row in rows:
        try:
            read.append(_level(row, store))
        except (RecordError, *MALFORMED) as error:
            problems.append(f"p{row['percent']}: {one_line(str(error))}")
    if not read or read[0].row["percent"] != 0:
        return _empty(model, rows, "; ".join(problems))
    metric = rows[0]["metric"]
    keys = list(read[0].samples)
    right = [[_right_at(level, key, read[0], metric) for key in keys] for level in read]
    if all(found is None for found in right[0]):
        return _empty(model, rows, "; ".join([_NOT_RIGHT_OR_WRONG, *problems]))
    changed = [_changed(right[0], found) for found in right]
    chosen = sorted({place for gained, lost in changed for place in evenly(sorted(gained + lost), MOST_FLIPS)})
    texts = _Texts({keys[place] for place in chosen}, read, store, metric)
    if chosen and not texts.prompts:
        problems.append(NO_PROMPTS)
    return TaskFlips(
        model=model,
        limit=rows[0]["limit"],
        task=rows[0]["subject"],
        metric=metric,
        levels=tuple((level.row["percent"], level.row["expansion_ratio"]) for level in read),
        gained=tuple(len(gained) for gained, _ in changed),
        lost=tuple(len(lost) for _, lost in changed),
        items=tuple(texts.item(keys[place], [found[place] for found in right]) for place in chosen),
        problem="; ".join(problems),
    )


def _empty(model: str, rows: Sequence[Row], problem: str) -> TaskFlips:
    first, none = rows[0], (0,) * len(rows)
    levels = tuple((row["percent"], row["expansion_ratio"]) for row in rows)
    return TaskFlips(model, first["limit"], first["subject"], first["metric"], levels, none, none, (), problem)


def _level(row: Row, store: Store) -> _Level:
    record = read_scored(store.root / row["record"])
    found, metric = row["filter"], row["metric"]
    mine = [sample for sample in store.read_samples(record.samples) if sample["filter"] == found and metric in sample]
    samples = {(sample["task"], sample["doc_id"], found): sample for sample in mine}
    return _Level(row, found, samples, are_generated([sample.get("answers") for sample in mine]))


def _right_at(level: _Level, key: tuple[Any, ...], baseline: _Level, metric: str) -> bool | None:
    """Whether a level's answer to an item of p0 is right; None if it scored another document."""
    sample = level.samples.get(key)
    if sample is None or sample.get("doc_hash") != baseline.samples[key].get("doc_hash"):
        return None
    return is_right(metric, sample.get(metric))


def _changed(first: Sequence[bool | None], now: Sequence[bool | None]) -> tuple[list[int], list[int]]:
    """Places of the items that are gained, and of those that are lost."""
    pairs = list(zip(first, now, strict=True))
    return (
        [place for place, (before, after) in enumerate(pairs) if before is False and after is True],
        [place for place, (before, after) in enumerate(pairs) if before is True and after is False],
    )


class _Texts:
    """The prompts, options and generated texts of some items, from lm-eval's own files."""

    def __init__(self, wanted: set[tuple[Any, ...]], levels: Sequence[_Level], store: Store, metric: str) -> None:
        self.levels, self.metric = levels, metric
        values = [sample.get(metric) for level in levels for sample in level.samples.values()]
        self.are_shares = any(_is_share(value) for value in values)
        self.prompts: dict[tuple[Any, ...], _Prompt] = {}
        self.unfiltered: list[dict[tuple[Any, ...], str]] = [{} for _ in levels]
        for number, level in enumerate(levels):
            if self.prompts.keys() >= wanted and not self._needs_texts(level):
                continue
            for path in lm_eval_files_of(store, level.row["record"]):
                self._read(path, number, wanted)

    @staticmethod
    def _needs_texts(level: _Level) -> bool:
        """Whether the samples hold only a part of each generated text, because a filter extracted it."""
        return level.is_generated and level.filter != UNFILTERED

    def _read(self, path: Any, number: int, wanted: set[tuple[Any, ...]]) -> None:
        level = self.levels[number]
        try:
            for key, found in read_lm_eval_samples(path):
                if key not in wanted or not _is_same(found, level.samples.get(key)):
                    continue
                if key not in self.prompts and (prompt := _prompt_of(found, is_generated=level.is_generated)):
                    self.prompts[key] = prompt
                if self._needs_texts(level) and (text := generated_text(found)) is not None:
                    self.unfiltered[number][key] = text[:LONGEST_ANSWER]
        except (OSError, *MALFORMED):
            return  # what was read before the defect counts; a missing prompt is said on the page

    def item(self, key: tuple[Any, ...], right: Sequence[bool | None]) -> Item:
        found = self.prompts.get(key)
        first = self.levels[0].samples[key]
        return Item(
            name=f"{key[0]} {key[1]}",
            target=_text(first.get("target")),
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

    def _value(self, level: _Level, key: tuple[Any, ...]) -> float | None:
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


def _is_same(found: Mapping[str, Any], sample: Mapping[str, Any] | None) -> bool:
    """Whether a line of lm-eval's file is of the same document and prompt as the sample."""
    return sample is not None and all(found.get(name) == sample.get(name) for name in ("doc_hash", "prompt_hash"))


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _prompt_of(sample: Mapping[str, Any], *, is_generated: bool) -> _Prompt | None:
    """The prompt and the options of a line of lm-eval's file; None if it holds none.

    Where the options are parts of different prompts (winogrande), the prompt is what they have in common.
    """
    arguments = sample.get("arguments")
    found = list(arguments.values())[:_MOST_OPTIONS] if isinstance(arguments, dict) else []
    if not found or not all(isinstance(one, dict) for one in found):
        return None
    prompts = [str(one.get("arg_0", "")) for one in found]
    if is_generated:
        return _Prompt(*_end_of(prompts[0]))
    options = [str(one.get("arg_1", "")) for one in found]
    if len(set(prompts)) > 1:
        same = _beginning(min(prompts), max(prompts))
        options = [f"{prompt[len(same) :]}{option}" for prompt, option in zip(prompts, options, strict=True)]
        prompts = [same]
    shown = tuple(option[:LONGEST_ANSWER] for option in options)
    return _Prompt(*_end_of(prompts[0]), shown, _true_options(sample.get("doc"), options))


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


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else repr(value))[:LONGEST_ANSWER]


def _log_likelihood(answer: Any) -> float | str:
    """The log-likelihood of an option, rounded; lm-eval adds whether the option is the most likely text."""
    value = answer[0] if isinstance(answer, list) and answer else answer
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return round(float(value), 3) if is_number else _text(value)
