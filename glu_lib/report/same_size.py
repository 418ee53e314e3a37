"""Models of about the same size: all scores over size, the paired comparisons, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from glu_lib.analysis.level_series import LevelSeries, family_of, only
from glu_lib.analysis.model_sizes import ModelSizes
from glu_lib.analysis.same_size import SameSize
from glu_lib.analysis.size_pairs import MOST_LARGER
from glu_lib.analysis.table import LevelKey, Row, row_level
from glu_lib.report import number
from glu_lib.report.listings import Listing


def size_score_listing(found: Sequence[ModelSizes]) -> Listing:
    """Absolute score, blind score and skill of each model and level, with parameters, weights and joules."""
    workloads = [sizes.workload for sizes in found if sizes.workload]
    energy = f"; joules per token of {workloads[0]}" if workloads else "; no workload is known of two models"
    return Listing(
        f"All models over size, same items in each task{energy}. A skill's 1 is the own unpruned model, of a "
        "checkpoint its baseline: compare the scores of two models, not their skills",
        ("task", "metric", "model", "level", "parameters", "weights", "joules per token", "score", "blind", "skill"),
        tuple(
            (_task(sizes.task, sizes.limit, sizes.subset), row["metric"], row["model"], row_name(row),
             number.prefixed(row["parameters"]), number.prefixed(row.get("weights_bytes"), "B"),
             number.joules(item.energy_per_token_j), number.score(row), number.score({"value": row.get("blind")}),
             "–" if row.get("skill") is None else number.signed(row["skill"]))
            for sizes in found
            for item in sizes.scores
            for row in (item.row,)
        ),
    )  # fmt: skip


def same_size_listing(found: Sequence[SameSize]) -> Listing:
    """Each pruned level beside another model of about as many parameters, with interval, p and verdict."""
    return Listing(
        f"One size, two models: each pruned level beside the nearest level of another model within "
        f"{100 * MOST_LARGER:.0f} % of its parameters, same items. Difference: score − other score with its 95 % "
        "interval; p after Holm's correction over this table's comparisons of the same limit",
        ("task", "metric", "model", "parameters", "score", "other model", "its parameters", "its score", "difference",
         "from", "to", "p", "verdict"),
        tuple(
            (_task(item.task, item.limit, item.subset), item.metric, _mine(item), number.prefixed(item.parameters),
             _score(item.value), _other(item), number.prefixed(item.other_parameters), _score(item.other_value),
             item.delta, item.delta_low, item.delta_high, item.p_holm, item.reason or _verdict(item))
            for item in found
        ),
    )  # fmt: skip


def difference_listing(found: Sequence[SameSize], first: str, second: str) -> Listing:
    """Two levels beside each other, task by task, with interval, p and verdict on the first."""
    return Listing(
        f"{first} beside {second}, same items. Difference: score of the first − score of the second with its own 95 % "
        "interval; p after Holm's correction over this table's tests. Verdict on the first: better or worse if that p "
        "is below 0.05; of two perplexities the lower is better",
        ("task", "metric", "items", first, second, "difference", "from", "to", "p", "verdict"),
        tuple(
            (_task(item.task, item.limit, item.subset), item.metric, item.pairs, _score(item.value),
             _score(item.other_value), item.delta, item.delta_low, item.delta_high, item.p_holm,
             item.reason or _verdict(item))
            for item in found
        ),
    )  # fmt: skip


def same_size_sentences(found: Iterable[SameSize]) -> Iterator[tuple[str, str]]:
    """Per pair of levels a sentence on its significant differences, with the model that it is about."""
    groups: dict[tuple[object, ...], list[SameSize]] = {}
    for item in found:
        if item.p_holm is not None:
            groups.setdefault((_mine(item), _other(item), item.limit, item.subset), []).append(item)
    for items in groups.values():
        better = [item.task for item in items if item.is_significant and item.is_better]
        worse = [item.task for item in items if item.is_significant and item.is_better is False]
        parts = [f"better in {number.listed(better)}"] if better else []
        parts += [f"worse in {number.listed(worse)}"] if worse else []
        if not parts:
            continue
        first, same = items[0], len(items) - len(better) - len(worse)
        marked = f" ({only(first.limit, first.subset)})" if first.limit else ""
        rest = f"; {same} of {len(items)} tasks without a significant difference" if same else ""
        yield (
            first.model,
            (
                f"{_mine(first)} ({number.prefixed(first.parameters)} parameters) beside {_other(first)} "
                f"({number.prefixed(first.other_parameters)}){marked}: {', '.join(parts)}{rest}, on the same items and "
                "after Holm's correction."
            ),
        )


def row_name(row: Row) -> str:
    """The level of a row with its method, layers and divisor: `p40`, `p40, L2`."""
    return _named(row_level(row), family_of(row))


def _mine(item: SameSize) -> str:
    return f"{item.model} {_named(item.level, item.family)}"


def _other(item: SameSize) -> str:
    # Unpruned, or pruned as the level beside it.
    return f"{item.other_model} {_named(item.other_level, item.family) if item.other_percent else 'p0'}"


def _named(level: LevelKey, family: LevelSeries) -> str:
    return replace(family, limit=None).name_of(level)


def _task(task: str, limit: int | None, subset: str | None) -> str:
    return f"{task}, {only(limit, subset)}" if limit else task


def _score(value: float | None) -> str:
    return "collapsed" if value is None else number.plain_score(value)


def _verdict(item: SameSize) -> str:
    if not item.is_significant or item.is_better is None:
        return "undecided"
    return "better" if item.is_better else "worse"
