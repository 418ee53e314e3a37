"""Which levels of two models are of about the same size, and whether their scores can be compared."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.level_series import family_of
from glu_lib.analysis.table import Row
from glu_lib.study.methods import is_random

MOST_LARGER = 0.15  # the larger of two models has at most this share more parameters than the smaller one
MOST_OTHERS = 8  # other models that a level is compared with: the nearest ones in parameters
# What two models must share, and its name in a message; the items themselves are compared by `pair`.
_SETTINGS = {"num_fewshot": "few-shot", "prompt_format": "prompt format", "task_limit": "task limit"}
_DONE_KEY = (
    "task",
    "task data",
    "lm-eval",
    "seed",
    "items",
    "chat date",
)  # fields of the done key; not those of the model


def is_sized(row: Row) -> bool:
    """Whether a row is a headline score that can stand beside other models' over size.

    Controls, random selection (a floor of methods) and random weights are not.
    """
    is_score = row["kind"] == "accuracy" and row["is_headline"] and row.get("control") is None
    is_model = row["weights"] != "random" and not is_random(row["method"]) and row["parameters"]
    return bool(is_score and is_model and (row["value"] is not None or row.get("is_collapsed")))


def by_items(rows: Iterable[Row]) -> dict[tuple[str, int | None, str | None], list[Row]]:
    """The rows of `is_sized` by task, limit and subset, where at least two models have that task."""
    groups: dict[tuple[str, int | None, str | None], list[Row]] = {}
    for row in filter(is_sized, rows):
        groups.setdefault((row["subject"], row["limit"], row.get("subset")), []).append(row)
    return {key: found for key, found in groups.items() if len({row["model"] for row in found}) > 1}


def same_size_pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each pruned level with the nearest level of each other model, of one task, limit and subset.

    The nearest in parameters, if the larger of the two has at most `MOST_LARGER` more; of two as near, the less pruned.
    Only the `MOST_OTHERS` nearest models count, so that the pairs grow with the levels and not with their square.
    The other level is unpruned, or pruned by the same method with the same divisor and layers. The first of a pair is
    the one that lost the larger share of its neurons; a pair occurs once, also if each is the other's nearest.
    """
    found: dict[frozenset[str], tuple[Row, Row]] = {}
    places = {id(row): place for place, row in enumerate(rows)}
    beside = {way: _Sizes.of(rows, way) for way in dict.fromkeys(_way(row) for row in rows if row["percent"] != 0)}
    for row in rows:
        if row["percent"] == 0:
            continue
        for other in sorted(beside[_way(row)].nearest(row), key=lambda other: places[id(other)]):
            both = (row, other) if row["percent"] >= other["percent"] else (other, row)
            found.setdefault(frozenset((row["record"], other["record"])), both)
    return list(found.values())


def _is_checkpoint_of(row: Row, other: Row) -> bool:
    """Whether one is a checkpoint whose baseline is the other's model: they stand beside each other anyway."""
    return bool(other.get("baseline_model") == row["model"] or row.get("baseline_model") == other["model"])


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The rows that levels pruned in one way can stand beside, by ascending parameters, the less pruned ones first."""

    sizes: list[int]
    rows: list[list[Row]]

    @classmethod
    def of(cls, rows: Iterable[Row], way: tuple[object, ...]) -> _Sizes:
        """The unpruned rows, and those that were pruned this way."""
        by_size: dict[int, list[Row]] = {}
        for row in rows:
            if row["percent"] == 0 or _way(row) == way:
                by_size.setdefault(row["parameters"], []).append(row)
        sizes = sorted(by_size)
        return cls(sizes, [sorted(by_size[size], key=lambda row: row["percent"]) for size in sizes])

    def nearest(self, row: Row) -> Iterator[Row]:
        """The nearest row of each of the nearest other models, the nearest one first."""
        seen = {row["model"]}
        for place in self._outward(row):
            for other in self.rows[place]:
                if len(seen) > MOST_OTHERS:
                    return
                if other["model"] not in seen and not _is_checkpoint_of(row, other):
                    seen.add(other["model"])
                    yield other

    def _outward(self, row: Row) -> Iterator[int]:
        """Places of the sizes within `MOST_LARGER`, the nearest one first."""
        above = bisect_left(self.sizes, row["parameters"])
        below = above - 1
        while True:
            ends = [place for place in (below, above) if 0 <= place < len(self.sizes)]
            if not ends:
                return
            place = min(ends, key=lambda end: _factor(row["parameters"], self.sizes[end]))
            if _factor(row["parameters"], self.sizes[place]) > 1 + MOST_LARGER:
                return
            yield place
            if place == below:
                below -= 1
            else:
                above += 1


def _way(row: Row) -> tuple[object, ...]:
    family = family_of(row)
    return family.method, family.divisor, family.layers


def _factor(one: int, other: int) -> float:
    """Parameters of the larger / those of the smaller one."""
    few, many = sorted((one, other))
    return many / few


def unlike_settings(row: Row, other: Row) -> str:
    """Why the scores of two models cannot be compared, as one line; empty if they can."""
    if row.get("window_tokens") is not None:
        return (
            f"{row['case']}: a perplexity per token is one of its own tokenizer and windows; compare models by word, "
            "byte or bit perplexities"
        )
    return unlike_measurement(row, other)


def unlike_measurement(row: Row, other: Row) -> str:
    """In which setting two rows of one task differ, as one line; empty if in none. Tokenizers are not compared."""
    measured = [found.get("measured_as") or {} for found in (row, other)]
    settings: list[tuple[str, Any, Any]] = [(name, row[name], other[name]) for name in ("metric", "filter")]
    settings += [(name, row.get(column), other.get(column)) for column, name in _SETTINGS.items()]
    settings += [(name, measured[0].get(name), measured[1].get(name)) for name in _DONE_KEY]
    differing = [f"{name} {a}, {other['case']} has {b}" for name, a, b in settings if a != b]
    return f"{row['case']}: {differing[0]}; run both with the same settings" if differing else ""


def unlike_runs(row: Row, other: Row) -> str:
    """Why two levels of one tokenizer (a model's, or a checkpoint and its baseline) cannot be compared; or empty."""
    if row["dtype"] != other["dtype"]:
        mine, theirs = row["dtype"], other["dtype"]
        return f"{row['case']}: dtype {mine}, {other['case']} has {theirs}; run both with the same settings"
    return unlike_measurement(row, other)
