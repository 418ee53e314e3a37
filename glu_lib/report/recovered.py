"""Recovered and foreign checkpoints beside their baseline: the table of comparisons, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from glu_lib.analysis.level_series import only
from glu_lib.analysis.recovered import Recovered
from glu_lib.report import number
from glu_lib.report.listings import Listing


def recovered_listing(found: Sequence[Recovered]) -> Listing:
    """Each checkpoint beside p0 and the pruned levels of its widths: scores, test, and the share of lost skill."""
    return Listing(
        "Checkpoints beside their baseline, same items: p0, and the levels pruned to the same widths. Difference: "
        "score − other score with its 95 % interval; p after Holm's correction over all comparisons of one checkpoint; "
        "lost skill recovered: 0 as the pruned level, 1 as p0, with its 95 % interval",
        ("task", "metric", "checkpoint", "score", "beside", "its score", "difference", "p", "verdict",
         "lost skill recovered", "note"),
        tuple(
            (_task(item), item.beside.metric, item.beside.model, _score(item.beside.value), _other(item),
             _score(item.beside.other_value), _change(item), item.beside.p_holm, _verdict(item), _share(item),
             item.beside.reason or item.share_reason or None)
            for item in found
        ),
    )  # fmt: skip


def recovered_sentences(found: Iterable[Recovered]) -> Iterator[tuple[str, str]]:
    """Per checkpoint and level a sentence on its significant differences and one on the share, with the baseline."""
    groups: dict[tuple[object, ...], list[Recovered]] = {}
    for item in found:
        groups.setdefault((item.beside.model, _other(item), item.beside.limit, item.beside.subset), []).append(item)
    for items in groups.values():
        tested = [item for item in items if item.beside.p_holm is not None]
        if tested:
            yield items[0].beside.model, _difference(tested)
        if shares := [item for item in items if item.share is not None]:
            yield items[0].beside.model, _recovery(shares)


def _difference(items: Sequence[Recovered]) -> str:
    first = items[0].beside
    better = [item.beside.task for item in items if item.beside.is_significant and item.beside.is_better]
    worse = [item.beside.task for item in items if item.beside.is_significant and item.beside.is_better is False]
    same = len(items) - len(better) - len(worse)
    parts = [f"better in {number.listed(better)}"] if better else []
    parts += [f"worse in {number.listed(worse)}"] if worse else []
    parts += [f"no significant difference in {same} of {len(items)} tasks"] if same else []
    marked = f" ({only(first.limit, first.subset)})" if first.limit else ""
    widths = ", pruned to the same widths" if first.other_percent else ""
    return (
        f"{first.model} beside {_other(items[0])}{widths}{marked}: {', '.join(parts)}, on the same items and after "
        "Holm's correction."
    )


def _recovery(items: Sequence[Recovered]) -> str:
    shares = sorted((item.share or 0.0, item.beside.task, item) for item in items)
    beginning = f"Of the skill lost at {_other(items[0])}, {items[0].beside.model} has again"
    (least, task, item), (most, most_task, _) = shares[0], shares[-1]
    if len(shares) == 1:
        return f"{beginning} {number.share(least)}{_interval(item)} in {task}; 100 % is p0."
    certain = sum(item.share_low is not None and item.share_low > 0 for _, _, item in shares)
    return (
        f"{beginning} from {number.share(least)} ({task}) to {number.share(most)} ({most_task}), with a 95 % interval "
        f"above 0 in {certain} of {len(shares)} tasks; 100 % is p0."
    )


def _interval(item: Recovered) -> str:
    if item.share_low is None or item.share_high is None:
        return ""
    return f" (95 %: {number.share(item.share_low)} to {number.share(item.share_high)})"


def _change(item: Recovered) -> str | None:
    """A difference with its interval; an end that is not known belongs to a collapsed perplexity."""
    beside = item.beside
    if not beside.test:
        return None if beside.delta is None else number.plain(beside.delta)
    delta, low, high = (
        number.BEYOND if found is None else number.plain(found)
        for found in (beside.delta, beside.delta_low, beside.delta_high)
    )
    return f"{delta} ({low} … {high})"


def _share(item: Recovered) -> str | None:
    if item.share is None or item.share_low is None or item.share_high is None:
        return None
    return f"{number.signed(item.share)} ({number.signed(item.share_low)} … {number.signed(item.share_high)})"


def _verdict(item: Recovered) -> str:
    beside = item.beside
    if beside.p_holm is None:
        return "–"
    if not beside.is_significant or beside.is_better is None:
        return "undecided"
    return "better" if beside.is_better else "worse"


def _other(item: Recovered) -> str:
    return f"{item.beside.other_model} {item.level}"


def _task(item: Recovered) -> str:
    beside = item.beside
    return f"{beside.task}, {only(beside.limit, beside.subset)}" if beside.limit else beside.task


def _score(value: float | None) -> str:
    return "collapsed" if value is None else number.plain_score(value)
