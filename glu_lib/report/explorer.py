"""Renders the items that flipped as one HTML page that needs no network, beside the report's page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.analysis.flips import TaskFlips, evenly
from glu_lib.analysis.item_texts import Item
from glu_lib.analysis.level_series import only
from glu_lib.analysis.table import LevelKey, level_text
from glu_lib.report.page import page_environment, page_script, page_style
from glu_lib.study.architecture import format_ratio

MOST_BYTES = 4_500_000  # of the items' data; style, script and tables are below 100 kB
_SIGNS = {True: "1", False: "0", None: "-"}


def render_items(found: Sequence[TaskFlips], *, title: str = "GLU width pruning", most_bytes: int = MOST_BYTES) -> str:
    """The HTML of the item explorer.

    If the items need more than `most_bytes`, an equal number of flips per task and level is kept; the page says how
    many are left out. Texts cannot inject markup: JSON escapes them, and the script adds them to the page as text only.

    Args:
        found: the flips of each task.
        title: the report's heading.
        most_bytes: the largest size of the items' data.
    """
    from markupsafe import Markup

    tasks = [_Encoded.of(task) for task in found]
    share = largest_share(tasks, most_bytes)
    return (
        page_environment()
        .get_template("items.html.j2")
        .render(
            title=title,
            style=Markup(page_style("report.css", "items.css")),
            script=Markup(page_script("theme.js", "items.js")),
            payload=Markup(f"[{','.join(task.payload(share) for task in tasks)}]"),
            tables=list(_tables(found)),
            problems=list(_problems(found)),
        )
    )


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A task with its items as JSON; `flipped` are, per pruned level, the places of the items that flipped there."""

    task: TaskFlips
    items: tuple[str, ...]
    flipped: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, task: TaskFlips) -> _Encoded:
        pairs = [[(item.right[0], item.right[number]) for item in task.items] for number in range(1, len(task.levels))]
        flipped = [tuple(place for place, pair in enumerate(level) if set(pair) == {True, False}) for level in pairs]
        return cls(task, tuple(_json(_fields(item)) for item in task.items), tuple(flipped))

    def kept(self, share: int) -> list[int]:
        """Places of the items that stay if each level keeps `share` of its flips."""
        return sorted({place for places in self.flipped for place in evenly(places, share)})

    def payload(self, share: int) -> str:
        kept = self.kept(share)
        head = {
            "name": _name(self.task),
            "metric": self.task.metric,
            "levels": [level_text(level) for level, _ in self.task.levels],
            "ratios": [format_ratio(ratio) for _, ratio in self.task.levels],
            "left": sum(self.task.gained) + sum(self.task.lost) - self._shown(kept),
        }
        return f'{_json(head)[:-1]},"items":[{",".join(self.items[place] for place in kept)}]}}'

    def _shown(self, kept: Sequence[int]) -> int:
        """Number of flips, over all levels, of the items that stay."""
        return sum(len(set(places).intersection(kept)) for places in self.flipped)


def largest_share(tasks: Sequence[_Encoded], most_bytes: int) -> int:
    """The largest number of flips per task and level with which all items together fit into `most_bytes`."""

    def fits(share: int) -> bool:
        return sum(len(task.items[place]) + 1 for task in tasks for place in task.kept(share)) <= most_bytes

    return _largest(max((len(places) for task in tasks for places in task.flipped), default=0), fits)


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _fields(item: Item) -> dict[str, Any]:
    return {
        "n": item.name,
        "t": item.target,
        "q": item.prompt,
        "c": item.left_out,
        "o": item.options,
        "a": item.answers,
        "g": item.correct,
        "v": item.values,
        "r": "".join(_SIGNS[right] for right in item.right),
    }


def _json(value: Any) -> str:
    """JSON in ASCII without `<`, `>`, `&` and `'`, so that it cannot end its script element."""
    from jinja2.utils import htmlsafe_json_dumps

    return str(htmlsafe_json_dumps(value, dumps=json.dumps, separators=(",", ":"), allow_nan=False))


def _name(task: TaskFlips) -> str:
    return f"{task.model}: {task.task}"


def _tables(found: Sequence[TaskFlips]) -> Iterator[dict[str, Any]]:
    """A table per model: tasks as rows, pruned levels as columns, gained and lost in the cells."""
    for model in dict.fromkeys(task.model for task in found):
        mine = [(place, task) for place, task in enumerate(found) if task.model == model and task.items]
        levels = sorted({level for _, task in mine for level in task.levels[1:]}, key=lambda level: -level[1])
        marked = next((words for _, task in mine if (words := only(task.limit, task.subset))), "")
        if mine:
            yield {
                "title": f"{model}{f', {marked}' if marked else ''}",
                "levels": [{"key": level_text(level), "ratio": format_ratio(ratio)} for level, ratio in levels],
                "rows": [_row(place, task, levels) for place, task in mine],
            }


def _row(place: int, task: TaskFlips, levels: Sequence[tuple[LevelKey, float]]) -> dict[str, Any]:
    cells = {
        level: {"level": level_text(level[0]), "gained": gained, "lost": lost}
        for level, gained, lost in zip(task.levels, task.gained, task.lost, strict=True)
    }
    return {"place": place, "task": task.task, "metric": task.metric, "cells": [cells.get(level) for level in levels]}


def _problems(found: Sequence[TaskFlips]) -> Iterator[str]:
    """One line per reason, with its tasks."""
    for problem in dict.fromkeys(task.problem for task in found if task.problem):
        names = ", ".join(_name(task) for task in found if task.problem == problem)
        yield f"{names}: {problem}."
