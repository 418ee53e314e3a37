"""Methods beside random selection: a table of all comparisons, one of the verdicts, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from glu_lib.analysis.random_floor import AgainstRandom, Verdict, level_of, verdict_over_tasks
from glu_lib.analysis.trends import LevelSeries
from glu_lib.report import number
from glu_lib.report.listings import Listing
from glu_lib.study.architecture import format_ratio

_WORDS = {
    Verdict.BETTER: "better than random",
    Verdict.WORSE: "worse than random",
    Verdict.MIXED: "better than random in some tasks, worse in others",
    Verdict.UNDECIDED: "undecided against random",
}


def random_listing(found: Sequence[AgainstRandom]) -> Listing:
    """Each score of a method beside the mean of random selection of as many neurons, with interval and verdict."""
    return Listing(
        "Methods beside random selection of as many neurons, same items. Difference: score − mean over the seeds, for "
        "perplexities log(perplexity / geometric mean), with its 95 % interval over items and seeds; p after Holm's "
        "correction over the tasks of a method at a level",
        ("model", "level", "expansion ratio", "method", "task", "metric", "score", "random", "lowest seed",
         "highest seed", "seeds", "difference", "from", "to", "p", "verdict"),
        tuple(
            (item.model, level_name(item), format_ratio(item.expansion_ratio), item.method, item.task, item.metric,
             item.value, item.random_mean, item.random_low, item.random_high, item.seeds, item.difference, item.low,
             item.high, item.p_holm, item.reason or str(item.verdict))
            for item in found
        ),
    )  # fmt: skip


def verdict_listing(found: Sequence[AgainstRandom]) -> Listing:
    """The verdict on each method at each level, and the tasks behind it."""
    return Listing(
        "Verdict on each method at each level: better or worse than random selection in at least one task after Holm's "
        "correction, and in none the other way",
        ("model", "level", "expansion ratio", "method", "verdict", "better in", "worse in", "undecided in"),
        tuple(
            (items[0].model, level_name(items[0]), format_ratio(items[0].expansion_ratio), items[0].method,
             str(verdict_over_tasks(items)), *(_tasks(items, verdict) for verdict in _TOLD))
            for items in _by_level(found)
        ),
    )  # fmt: skip


def method_sentences(found: Sequence[AgainstRandom]) -> Iterator[tuple[str, str]]:
    """Per model and level a sentence on all methods, with the model that it is about."""
    groups: dict[tuple[object, ...], list[list[AgainstRandom]]] = {}
    for items in _by_level(found):
        model, _, *level = level_of(items[0])
        groups.setdefault((model, *level), []).append(items)
    for methods in groups.values():
        first = methods[0][0]
        told: dict[Verdict, list[str]] = {}
        for items in methods:
            told.setdefault(verdict_over_tasks(items), []).append(items[0].method)
        parts = [
            f"{number.listed(names)} {'is' if len(names) == 1 else 'are'} {_WORDS[verdict]}"
            for verdict, names in told.items()
        ]
        tasks, seeds = len(methods[0]), first.seeds
        place = f"At {level_name(first)} ({format_ratio(first.expansion_ratio)}), over {tasks} task{_s(tasks)}"
        yield first.model, f"{place} and {seeds} random seed{_s(seeds)}: {'; '.join(parts)}."


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def level_name(item: AgainstRandom) -> str:
    """The level without its method: `p10`, `p10, layers 1-29`, `p10, limit 100`."""
    words = LevelSeries(item.model, None, item.divisor, item.layers, item.limit).words
    return ", ".join([f"p{item.percent}", *words, *([f"limit {item.limit}"] if item.limit else [])])


_TOLD = (Verdict.BETTER, Verdict.WORSE, Verdict.UNDECIDED)


def _by_level(found: Iterable[AgainstRandom]) -> list[list[AgainstRandom]]:
    groups: dict[tuple[object, ...], list[AgainstRandom]] = {}
    for item in found:
        groups.setdefault(level_of(item), []).append(item)
    return list(groups.values())


def _tasks(items: Sequence[AgainstRandom], verdict: Verdict) -> str:
    return ", ".join(item.task for item in items if item.verdict is verdict)
