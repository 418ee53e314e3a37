"""What is missing beside a checkpoint: p0 or the pruned level of its baseline, with the command that measures it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from glu_lib.analysis.recovered import baseline_rows
from glu_lib.analysis.size_pairs import is_sized
from glu_lib.analysis.table import Row
from glu_lib.errors import StudyError
from glu_lib.study import STUDY
from glu_lib.study.architecture import pruned_width
from glu_lib.study.asked import MAX_PERCENT, Asked, level_key, parse_level
from glu_lib.study.items import LimitFrom

_DECIMALS = 6  # of a ratio that is asked for
_LARGEST = 1e9  # hidden size
_WORD = re.compile(r"[\w.-]+", re.ASCII)  # a record may come from anywhere, and a command is copied


def missing_beside(rows: Sequence[Row]) -> list[str]:
    """One line for each checkpoint and level of its baseline whose records are missing, with a command.

    Args:
        rows: tidy rows, from `consolidate`.
    """
    scores = list(filter(is_sized, rows))
    missing: dict[tuple[str, str, str, int | None, str | None], list[str]] = {}
    for row in scores:
        if row.get("baseline_model") is None:
            continue
        mine = [other for other in scores if _place(other) == _place(row)]
        known = {0 if other["percent"] == 0 else 1 for other in baseline_rows(row, mine)}
        wanted = ["p0"] if 0 not in known else []
        wanted += [level] if 1 not in known and (level := level_of_widths(row, rows)) else []
        for level in wanted:
            key = (row["model"], row["baseline_model"], level, row["limit"], row.get("subset"))
            missing.setdefault(key, []).append(row["subject"])
    return [_line(*key, tasks) for key, tasks in missing.items()]


def level_of_widths(row: Row, rows: Iterable[Row]) -> str | None:
    """The level of the baseline with the widths of a checkpoint: the one that the study names, or one found by width.

    A percentage if there is one, else an expansion ratio. None if the checkpoint is not narrower than its baseline, if
    its layers or its hidden size differ, or if no record says how wide the baseline is.
    """
    if named := row.get("baseline_level"):
        return str(named) if _is_level(named) else None
    unpruned = next(
        (other for other in rows if other["model"] == row["baseline_model"] and other["percent"] == 0), None
    )
    if unpruned is None:
        return None
    mine, theirs = row["widths"], unpruned["widths"]  # records of early versions have none
    if len(set(mine)) > 1 or (mine and theirs and len(mine) != len(theirs)):
        return None
    hidden = _hidden_size(row)
    if hidden is None or hidden != _hidden_size(unpruned) or row["width"] >= unpruned["width"]:
        return None
    percents = (percent for percent in range(1, MAX_PERCENT + 1) if _width(unpruned["width"], percent) == row["width"])
    percent = next(percents, None)
    return _ratio(row["width"], hidden) if percent is None else f"p{percent}"


def _hidden_size(row: Row) -> int | None:
    """Hidden size of a row's model; None if its width and its ratio, which may be anything, give none."""
    ratio = row["expansion_ratio"]
    found = row["width"] / ratio if ratio > 0 else 0.0
    return round(found) if 1 <= found < _LARGEST else None


def _is_level(text: str) -> bool:
    try:
        parse_level(text.removeprefix("p"))
    except StudyError:
        return False
    return True


def _width(unpruned: int, percent: int) -> int | None:
    try:
        return pruned_width(unpruned, percent)
    except StudyError:  # less than one neuron
        return None


def _ratio(width: int, hidden_size: int) -> str | None:
    """The expansion ratio that gives exactly this width if it is asked for; None if no short number does."""
    millionths = -(-width * 10**_DECIMALS // hidden_size)
    text = f"{millionths / 10**_DECIMALS:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return f"{text}x" if int(Fraction(text) * hidden_size) == width else None


def _place(row: Row) -> tuple[str, int | None, str | None]:
    return row["subject"], row["limit"], row.get("subset")


def _line(model: str, baseline: str, level: str, limit: int | None, subset: str | None, tasks: Sequence[str]) -> str:
    told = f"{model}: {baseline} {level} has no record of {', '.join(tasks)}, to be compared with"
    if not all(_WORD.fullmatch(word) for word in (baseline, *tasks, subset or "all")):
        return told
    return f"{told}; measure it: {' '.join(_words(baseline, level, limit, subset, tasks))}"


def _words(baseline: str, level: str, limit: int | None, subset: str | None, tasks: Sequence[str]) -> Iterator[str]:
    """The words of the command."""
    yield "pytest"
    known = STUDY.models.get(baseline)
    if known is None or any(task not in STUDY.tasks for task in tasks):
        yield "--study=FILE"
    asked = parse_level(level.removeprefix("p"))
    if known is None or asked not in known.levels:
        yield f"--level {asked if isinstance(asked, Asked) else level.removeprefix('p')}"
    chosen = tasks[0] if len(tasks) == 1 else f"({' or '.join(tasks)})"
    yield f'-k "{baseline} and {level_key(asked)} and {chosen}"'
    if subset and subset != LimitFrom.SPREAD:
        yield f"--samples {subset.removeprefix('samples_')}.json"
    elif limit is not None:
        yield f"--limit {limit}"
        if subset:
            yield "--limit-from spread"
