"""Flips: items that are right at p0 and wrong at a level, or the other way round, with prompts and answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.answer_texts import are_generated
from glu_lib.analysis.conclusions import main_families
from glu_lib.analysis.item_texts import Item, ItemTexts, LevelSamples
from glu_lib.analysis.table import LevelKey, Row, level_text, row_level
from glu_lib.errors import RecordError, one_line
from glu_lib.results.record import MALFORMED, read_scored
from glu_lib.results.store import Store

MOST_FLIPS = 1000  # per task and level; more are left out in equal steps
NO_PROMPTS = (
    "lm-eval's own files (the folder lm_eval) are not in this results folder (--no-lm-eval-files leaves them out) "
    "or are of other items, so prompts and options are not known"
)
_NOT_RIGHT_OR_WRONG = "its items are not right or wrong, so none flips"
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class TaskFlips:
    """The items of a task that flipped between p0 and some level.

    `levels` are (level, expansion ratio), p0 first. `gained` and `lost` are the numbers of flipped items of each
    level, shown or not. `problem` says why there are no items or no prompts; empty if there are.
    """

    model: str
    limit: int | None
    task: str
    metric: str
    levels: tuple[tuple[LevelKey, float], ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    items: tuple[Item, ...]
    problem: str = ""
    subset: str | None = None


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


def _task_flips(model: str, rows: Sequence[Row], store: Store) -> TaskFlips:
    read, problems = [], []
    for row in rows:
        try:
            read.append(_level(row, store))
        except (RecordError, *MALFORMED) as error:
            problems.append(f"{level_text(row_level(row))}: {one_line(str(error))}")
    if not read or read[0].row["percent"] != 0:
        return _empty(model, rows, "; ".join(problems))
    metric = rows[0]["metric"]
    keys = list(read[0].samples)
    right = [[_right_at(level, key, read[0], metric) for key in keys] for level in read]
    if all(found is None for found in right[0]):
        return _empty(model, rows, "; ".join([_NOT_RIGHT_OR_WRONG, *problems]))
    changed = [_changed(right[0], found) for found in right]
    chosen = sorted({place for gained, lost in changed for place in evenly(sorted(gained + lost), MOST_FLIPS)})
    texts = ItemTexts({keys[place] for place in chosen}, read, store, metric)
    if chosen and not texts.prompts:
        problems.append(NO_PROMPTS)
    return TaskFlips(
        model=model,
        limit=rows[0]["limit"],
        task=rows[0]["subject"],
        metric=metric,
        levels=tuple((row_level(level.row), level.row["expansion_ratio"]) for level in read),
        gained=tuple(len(gained) for gained, _ in changed),
        lost=tuple(len(lost) for _, lost in changed),
        items=tuple(texts.item(keys[place], [found[place] for found in right]) for place in chosen),
        problem="; ".join(problems),
        subset=rows[0].get("subset"),
    )


def _empty(model: str, rows: Sequence[Row], problem: str) -> TaskFlips:
    first, none = rows[0], (0,) * len(rows)
    levels = tuple((row_level(row), row["expansion_ratio"]) for row in rows)
    return TaskFlips(
        model, first["limit"], first["subject"], first["metric"], levels, none, none, (), problem, first.get("subset")
    )


def _level(row: Row, store: Store) -> LevelSamples:
    record = read_scored(store.root / row["record"])
    found, metric = row["filter"], row["metric"]
    mine = [sample for sample in store.read_samples(record.samples) if sample["filter"] == found and metric in sample]
    samples = {(sample["task"], sample["doc_id"], found): sample for sample in mine}
    return LevelSamples(row, found, samples, are_generated([sample.get("answers") for sample in mine]))


def _right_at(level: LevelSamples, key: tuple[Any, ...], baseline: LevelSamples, metric: str) -> bool | None:
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
