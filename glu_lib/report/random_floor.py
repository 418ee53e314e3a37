"""Methods beside random selection: a table of all comparisons, one of the verdicts, and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from glu_lib.analysis.level_series import LevelSeries
from glu_lib.analysis.random_floor import AgainstRandom, Verdict, level_of, verdict_over_tasks
from glu_lib.report import number
from glu_lib.report.listings import Listing
from glu_lib.study.architecture import format_ratio
from glu_lib.wording import counted

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
             item.high, item.p_holm, item.reason or _verdict(item))
            for item in found
        ),
    )  # fmt: skip


def verdict_listing(found: Sequence[AgainstRandom]) -> Listing:
    """Methods in rows, tasks in columns: each score with its mark against random, and the verdict over the tasks.

    The last row of each level is random selection: mean over the seeds, and the lowest and highest seed.
    """
    tasks = list(dict.fromkeys(item.task for item in found))
    rows: list[tuple[str, ...]] = []
    for methods in _same_width(found):
        first = methods[0][0]
        place = (first.model, level_name(first), format_ratio(first.expansion_ratio))
        for items in methods:
            cells = {item.task: f"{_score(item.value)}{_MARKS[item.verdict]}" for item in items}
            rows.append(
                (*place, items[0].method, *(cells.get(task, "–") for task in tasks), str(verdict_over_tasks(items)))
            )
        draws = {item.task: _draws(item) for items in methods for item in items}
        seeds = f"random ({counted(first.seeds, 'seed')})"
        rows.append((*place, seeds, *(draws.get(task, "–") for task in tasks), ""))
    return Listing(
        "Methods beside random selection of as many neurons: ▲ better, ▼ worse, after Holm's correction over the "
        "tasks. A method is better at a level if it is in a task and worse in none",
        ("model", "level", "expansion ratio", "method", *tasks, "verdict"),
        tuple(rows),
    )


def method_sentences(found: Sequence[AgainstRandom]) -> Iterator[tuple[str, str]]:
    """Per model and level a sentence on all methods, with the model that it is about."""
    for methods in _same_width(found):
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
        untested = sum(bool(item.reason) for items in methods for item in items)
        parts += [f"{counted(untested, 'comparison')} not possible (`glu methods` says why)"] if untested else []
        yield first.model, f"{place} and {seeds} random seed{_s(seeds)}: {'; '.join(parts)}."


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def level_name(item: AgainstRandom) -> str:
    """The level without its method: `p10`, `p10, layers 1-29`, `p10, limit 100`."""
    return LevelSeries(item.model, None, item.divisor, item.layers, item.limit, item.subset).name_of(item.level)


_MARKS = {Verdict.BETTER: " ▲", Verdict.WORSE: " ▼", Verdict.UNDECIDED: ""}


def _score(value: float | None) -> str:
    return "∞" if value is None else number.plain_score(value)


def _draws(item: AgainstRandom) -> str:
    if not item.seeds:
        return "–"
    return f"{_score(item.random_mean)} ({_score(item.random_low)} to {_score(item.random_high)})"


def _verdict(item: AgainstRandom) -> str:
    return f"{item.verdict}; left out: {item.left_out}" if item.left_out else str(item.verdict)


def _same_width(found: Iterable[AgainstRandom]) -> list[list[list[AgainstRandom]]]:
    """The comparisons of each method, grouped by model, level, divisor, layers and limit."""
    groups: dict[tuple[object, ...], list[list[AgainstRandom]]] = {}
    for items in _by_level(found):
        model, _, *level = level_of(items[0])
        groups.setdefault((model, *level), []).append(items)
    return list(groups.values())


def _by_level(found: Iterable[AgainstRandom]) -> list[list[AgainstRandom]]:
    groups: dict[tuple[object, ...], list[AgainstRandom]] = {}
    for item in found:
        groups.setdefault(level_of(item), []).append(item)
    return list(groups.values())
